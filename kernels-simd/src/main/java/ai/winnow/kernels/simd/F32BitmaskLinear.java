package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.BitmaskPanel16;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * y[o] = bias[o] + sum over k of x[k] * W[o, k], W f32 in {@link BitmaskPanel16}.
 *
 * <p>A lane is an output. For each input the values of its mask are expanded to their lanes, with zeros between, and multiplied by the broadcast input: one
 * fma chain an output over all inputs in ascending order, begun with the bias. Four panels go side by side (with 8 lanes, both halves of two): four chains
 * hide the latency, and from memory four streams bring more than one. An input that is infinite or NaN is NaN in all outputs of a panel. Traffic: the weight
 * once; x from L1 for every four panels.
 */
final class F32BitmaskLinear {

    private static final int PANEL = BitmaskPanel16.ROWS;

    private F32BitmaskLinear() {}

    /**
     * Panels {@code from} to {@code to}; only where expand is fast.
     *
     * @param sums 64 floats of scratch
     */
    static void dense(
            long w,
            long masks,
            long maskPitch,
            long values,
            int inputs,
            int outputs,
            long x,
            long bias,
            long y,
            int from,
            int to,
            long sums) {
        int step = COUNT == PANEL ? 4 : 2;
        for (int panel = from; panel < to; panel += step) {
            int count = Math.min(step, to - panel);
            int last = panel + count - 1; // again, where there are no more
            int p1 = Math.min(panel + 1, last);
            int first = PANEL * panel;
            int width = Math.min(PANEL * count, outputs - first);
            ColumnOrder.start(Memory.orNone(bias, 4L * first), sums, 0, width);
            long m0 = masks + panel * maskPitch;
            long m1 = masks + p1 * maskPitch;
            long v0 = values + 4 * ALL.get(LONG, w + BitmaskPanel16.startAt(panel));
            long v1 = values + 4 * ALL.get(LONG, w + BitmaskPanel16.startAt(p1));
            if (COUNT == PANEL) {
                int p2 = Math.min(panel + 2, last);
                long m2 = masks + p2 * maskPitch;
                long m3 = masks + last * maskPitch;
                long v2 = values + 4 * ALL.get(LONG, w + BitmaskPanel16.startAt(p2));
                long v3 = values + 4 * ALL.get(LONG, w + BitmaskPanel16.startAt(last));
                four(m0, m1, m2, m3, v0, v1, v2, v3, inputs, x, sums);
            } else {
                halves(m0, m1, v0, v1, inputs, x, sums);
            }
            MemorySegment.copy(ALL, sums, ALL, y + 4L * first, 4L * width);
        }
    }

    /** Four panels of 16 lanes; {@code sums} go on from what they are. */
    private static void four(
            long m0,
            long m1,
            long m2,
            long m3,
            long from0,
            long from1,
            long from2,
            long from3,
            int inputs,
            long x,
            long sums) {
        FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, sums, LE);
        FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, sums + 4L * PANEL, LE);
        FloatVector s2 = FloatVector.fromMemorySegment(F, ALL, sums + 8L * PANEL, LE);
        FloatVector s3 = FloatVector.fromMemorySegment(F, ALL, sums + 12L * PANEL, LE);
        long v0 = from0;
        long v1 = from1;
        long v2 = from2;
        long v3 = from3;
        for (int k = 0; k < inputs; k++) {
            FloatVector input = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4L * k));
            int mask0 = ALL.get(SHORT, m0 + 2L * k) & 0xffff;
            s0 = FloatVector.fromMemorySegment(F, ALL, v0, LE)
                    .expand(VectorMask.fromLong(F, mask0))
                    .fma(input, s0);
            v0 += 4L * Integer.bitCount(mask0);
            int mask1 = ALL.get(SHORT, m1 + 2L * k) & 0xffff;
            s1 = FloatVector.fromMemorySegment(F, ALL, v1, LE)
                    .expand(VectorMask.fromLong(F, mask1))
                    .fma(input, s1);
            v1 += 4L * Integer.bitCount(mask1);
            int mask2 = ALL.get(SHORT, m2 + 2L * k) & 0xffff;
            s2 = FloatVector.fromMemorySegment(F, ALL, v2, LE)
                    .expand(VectorMask.fromLong(F, mask2))
                    .fma(input, s2);
            v2 += 4L * Integer.bitCount(mask2);
            int mask3 = ALL.get(SHORT, m3 + 2L * k) & 0xffff;
            s3 = FloatVector.fromMemorySegment(F, ALL, v3, LE)
                    .expand(VectorMask.fromLong(F, mask3))
                    .fma(input, s3);
            v3 += 4L * Integer.bitCount(mask3);
        }
        s0.intoMemorySegment(ALL, sums, LE);
        s1.intoMemorySegment(ALL, sums + 4L * PANEL, LE);
        s2.intoMemorySegment(ALL, sums + 8L * PANEL, LE);
        s3.intoMemorySegment(ALL, sums + 12L * PANEL, LE);
    }

    /** Two panels, each as two vectors of 8 lanes. */
    private static void halves(long m0, long m1, long from0, long from1, int inputs, long x, long sums) {
        FloatVector low0 = FloatVector.fromMemorySegment(F, ALL, sums, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, ALL, sums + 2L * PANEL, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, ALL, sums + 4L * PANEL, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, ALL, sums + 6L * PANEL, LE);
        long v0 = from0;
        long v1 = from1;
        for (int k = 0; k < inputs; k++) {
            FloatVector input = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4L * k));
            int mask0 = ALL.get(SHORT, m0 + 2L * k) & 0xffff;
            low0 = FloatVector.fromMemorySegment(F, ALL, v0, LE)
                    .expand(VectorMask.fromLong(F, mask0 & 0xff))
                    .fma(input, low0);
            high0 = FloatVector.fromMemorySegment(F, ALL, v0 + 4L * Integer.bitCount(mask0 & 0xff), LE)
                    .expand(VectorMask.fromLong(F, mask0 >>> 8))
                    .fma(input, high0);
            v0 += 4L * Integer.bitCount(mask0);
            int mask1 = ALL.get(SHORT, m1 + 2L * k) & 0xffff;
            low1 = FloatVector.fromMemorySegment(F, ALL, v1, LE)
                    .expand(VectorMask.fromLong(F, mask1 & 0xff))
                    .fma(input, low1);
            high1 = FloatVector.fromMemorySegment(F, ALL, v1 + 4L * Integer.bitCount(mask1 & 0xff), LE)
                    .expand(VectorMask.fromLong(F, mask1 >>> 8))
                    .fma(input, high1);
            v1 += 4L * Integer.bitCount(mask1);
        }
        low0.intoMemorySegment(ALL, sums, LE);
        high0.intoMemorySegment(ALL, sums + 2L * PANEL, LE);
        low1.intoMemorySegment(ALL, sums + 4L * PANEL, LE);
        high1.intoMemorySegment(ALL, sums + 6L * PANEL, LE);
    }
}
