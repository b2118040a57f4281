package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.BlockSparse16x1;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * y[o] = bias[o] + sum over k of x[k] * W[o, k], W f32 in {@link BlockSparse16x1}.
 *
 * <p>A lane is an output, a block 16 weights of one input. The list of a panel's blocks is cut into four quarters of one length, each an fma chain: four
 * chains hide the latency, and from memory four streams bring more than one. The result is bias + ((0 + 1) + (2 + 3)), and what does not make a fourth is
 * added to it at the end, one fma a block. Inputs of which a panel has no block are never read. Traffic: the weight once.
 */
final class F32BlockLinear {

    private static final int PANEL = BlockSparse16x1.ROWS;

    private static final long BYTES = 4L * PANEL;

    private F32BlockLinear() {}

    /** Panels {@code from} to {@code to}; {@code sums} are 16 floats of scratch. */
    static void dense(
            long w, long columns, long values, int outputs, long x, long bias, long y, int from, int to, long sums) {
        for (int panel = from; panel < to; panel++) {
            int first = PANEL * panel;
            int width = Math.min(PANEL, outputs - first);
            long begin = ALL.get(LONG, w + BlockSparse16x1.startAt(panel));
            int blocks = (int) (ALL.get(LONG, w + BlockSparse16x1.startAt(panel + 1)) - begin);
            long c = columns + 2 * begin;
            long v = values + BYTES * begin;
            ColumnOrder.start(Memory.orNone(bias, 4L * first), sums, 0, width);
            int quarter = blocks / 4;
            if (COUNT == PANEL) {
                quarters(c, v, quarter, x, sums);
            } else {
                for (int lane = 0; lane < PANEL; lane += 2 * COUNT) {
                    pairs(c, v + 4L * lane, quarter, x, sums + 4L * lane);
                }
            }
            for (int lane = 0; lane < PANEL; lane += COUNT) {
                rest(c, v + 4L * lane, 4 * quarter, blocks, x, sums + 4L * lane);
            }
            MemorySegment.copy(ALL, sums, ALL, y + 4L * first, 4L * width);
        }
    }

    /** Four chains of 16 lanes. */
    private static void quarters(long c, long v, int quarter, long x, long sums) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        long c1 = c + 2L * quarter;
        long c2 = c + 4L * quarter;
        long c3 = c + 6L * quarter;
        long v1 = v + BYTES * quarter;
        long v2 = v + 2 * BYTES * quarter;
        long v3 = v + 3 * BYTES * quarter;
        for (int i = 0; i < quarter; i++) {
            long k0 = ALL.get(SHORT, c + 2L * i) & 0xffffL;
            long k1 = ALL.get(SHORT, c1 + 2L * i) & 0xffffL;
            long k2 = ALL.get(SHORT, c2 + 2L * i) & 0xffffL;
            long k3 = ALL.get(SHORT, c3 + 2L * i) & 0xffffL;
            s0 = FloatVector.fromMemorySegment(F, ALL, v + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k0)), s0);
            s1 = FloatVector.fromMemorySegment(F, ALL, v1 + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k1)), s1);
            s2 = FloatVector.fromMemorySegment(F, ALL, v2 + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k2)), s2);
            s3 = FloatVector.fromMemorySegment(F, ALL, v3 + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k3)), s3);
        }
        FloatVector start = FloatVector.fromMemorySegment(F, ALL, sums, LE);
        start.add(s0.add(s1).add(s2.add(s3))).intoMemorySegment(ALL, sums, LE);
    }

    /** Four chains of two vectors of fewer lanes. */
    private static void pairs(long c, long v, int quarter, long x, long sums) {
        FloatVector low0 = FloatVector.zero(F);
        FloatVector low1 = low0;
        FloatVector low2 = low0;
        FloatVector low3 = low0;
        FloatVector high0 = low0;
        FloatVector high1 = low0;
        FloatVector high2 = low0;
        FloatVector high3 = low0;
        long c1 = c + 2L * quarter;
        long c2 = c + 4L * quarter;
        long c3 = c + 6L * quarter;
        long v1 = v + BYTES * quarter;
        long v2 = v + 2 * BYTES * quarter;
        long v3 = v + 3 * BYTES * quarter;
        for (int i = 0; i < quarter; i++) {
            long k0 = ALL.get(SHORT, c + 2L * i) & 0xffffL;
            long k1 = ALL.get(SHORT, c1 + 2L * i) & 0xffffL;
            long k2 = ALL.get(SHORT, c2 + 2L * i) & 0xffffL;
            long k3 = ALL.get(SHORT, c3 + 2L * i) & 0xffffL;
            FloatVector x0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k0));
            FloatVector x1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k1));
            FloatVector x2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k2));
            FloatVector x3 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k3));
            low0 = FloatVector.fromMemorySegment(F, ALL, v + BYTES * i, LE).fma(x0, low0);
            high0 = FloatVector.fromMemorySegment(F, ALL, v + BYTES * i + 4L * COUNT, LE)
                    .fma(x0, high0);
            low1 = FloatVector.fromMemorySegment(F, ALL, v1 + BYTES * i, LE).fma(x1, low1);
            high1 = FloatVector.fromMemorySegment(F, ALL, v1 + BYTES * i + 4L * COUNT, LE)
                    .fma(x1, high1);
            low2 = FloatVector.fromMemorySegment(F, ALL, v2 + BYTES * i, LE).fma(x2, low2);
            high2 = FloatVector.fromMemorySegment(F, ALL, v2 + BYTES * i + 4L * COUNT, LE)
                    .fma(x2, high2);
            low3 = FloatVector.fromMemorySegment(F, ALL, v3 + BYTES * i, LE).fma(x3, low3);
            high3 = FloatVector.fromMemorySegment(F, ALL, v3 + BYTES * i + 4L * COUNT, LE)
                    .fma(x3, high3);
        }
        FloatVector low = FloatVector.fromMemorySegment(F, ALL, sums, LE);
        FloatVector high = FloatVector.fromMemorySegment(F, ALL, sums + 4L * COUNT, LE);
        low.add(low0.add(low1).add(low2.add(low3))).intoMemorySegment(ALL, sums, LE);
        high.add(high0.add(high1).add(high2.add(high3))).intoMemorySegment(ALL, sums + 4L * COUNT, LE);
    }

    /** The last blocks, fewer than four. */
    private static void rest(long c, long v, int from, int to, long x, long sums) {
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, sums, LE);
        for (int i = from; i < to; i++) {
            long k = ALL.get(SHORT, c + 2L * i) & 0xffffL;
            sum = FloatVector.fromMemorySegment(F, ALL, v + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * k)), sum);
        }
        sum.intoMemorySegment(ALL, sums, LE);
    }
}
