package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Lanes.SHORT;

import ai.winnow.tensor.BlockSparse16x1;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

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
            MemorySegment w,
            long columnsAt,
            long valuesAt,
            int outputs,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            MemorySegment y,
            long yAt,
            int from,
            int to,
            MemorySegment sums,
            long sumsAt) {
        for (int panel = from; panel < to; panel++) {
            int first = PANEL * panel;
            int width = Math.min(PANEL, outputs - first);
            long begin = w.get(LONG, BlockSparse16x1.startAt(panel));
            int blocks = (int) (w.get(LONG, BlockSparse16x1.startAt(panel + 1)) - begin);
            long c = columnsAt + 2 * begin;
            long v = valuesAt + BYTES * begin;
            ColumnOrder.start(bias, 4L * first, sums, sumsAt, 0, width);
            int quarter = blocks / 4;
            if (COUNT == PANEL) {
                quarters(w, c, v, quarter, x, xAt, sums, sumsAt);
            } else {
                for (int lane = 0; lane < PANEL; lane += 2 * COUNT) {
                    pairs(w, c, v + 4L * lane, quarter, x, xAt, sums, sumsAt + 4L * lane);
                }
            }
            for (int lane = 0; lane < PANEL; lane += COUNT) {
                rest(w, c, v + 4L * lane, 4 * quarter, blocks, x, xAt, sums, sumsAt + 4L * lane);
            }
            MemorySegment.copy(sums, sumsAt, y, yAt + 4L * first, 4L * width);
        }
    }

    /** Four chains of 16 lanes. */
    private static void quarters(
            MemorySegment w, long c, long v, int quarter, MemorySegment x, long xAt, MemorySegment sums, long sumsAt) {
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
            long k0 = w.get(SHORT, c + 2L * i) & 0xffffL;
            long k1 = w.get(SHORT, c1 + 2L * i) & 0xffffL;
            long k2 = w.get(SHORT, c2 + 2L * i) & 0xffffL;
            long k3 = w.get(SHORT, c3 + 2L * i) & 0xffffL;
            s0 = FloatVector.fromMemorySegment(F, w, v + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k0)), s0);
            s1 = FloatVector.fromMemorySegment(F, w, v1 + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k1)), s1);
            s2 = FloatVector.fromMemorySegment(F, w, v2 + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k2)), s2);
            s3 = FloatVector.fromMemorySegment(F, w, v3 + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k3)), s3);
        }
        FloatVector start = FloatVector.fromMemorySegment(F, sums, sumsAt, LE);
        start.add(s0.add(s1).add(s2.add(s3))).intoMemorySegment(sums, sumsAt, LE);
    }

    /** Four chains of two vectors of fewer lanes. */
    private static void pairs(
            MemorySegment w, long c, long v, int quarter, MemorySegment x, long xAt, MemorySegment sums, long sumsAt) {
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
            long k0 = w.get(SHORT, c + 2L * i) & 0xffffL;
            long k1 = w.get(SHORT, c1 + 2L * i) & 0xffffL;
            long k2 = w.get(SHORT, c2 + 2L * i) & 0xffffL;
            long k3 = w.get(SHORT, c3 + 2L * i) & 0xffffL;
            FloatVector x0 = FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k0));
            FloatVector x1 = FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k1));
            FloatVector x2 = FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k2));
            FloatVector x3 = FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k3));
            low0 = FloatVector.fromMemorySegment(F, w, v + BYTES * i, LE).fma(x0, low0);
            high0 = FloatVector.fromMemorySegment(F, w, v + BYTES * i + 4L * COUNT, LE)
                    .fma(x0, high0);
            low1 = FloatVector.fromMemorySegment(F, w, v1 + BYTES * i, LE).fma(x1, low1);
            high1 = FloatVector.fromMemorySegment(F, w, v1 + BYTES * i + 4L * COUNT, LE)
                    .fma(x1, high1);
            low2 = FloatVector.fromMemorySegment(F, w, v2 + BYTES * i, LE).fma(x2, low2);
            high2 = FloatVector.fromMemorySegment(F, w, v2 + BYTES * i + 4L * COUNT, LE)
                    .fma(x2, high2);
            low3 = FloatVector.fromMemorySegment(F, w, v3 + BYTES * i, LE).fma(x3, low3);
            high3 = FloatVector.fromMemorySegment(F, w, v3 + BYTES * i + 4L * COUNT, LE)
                    .fma(x3, high3);
        }
        FloatVector low = FloatVector.fromMemorySegment(F, sums, sumsAt, LE);
        FloatVector high = FloatVector.fromMemorySegment(F, sums, sumsAt + 4L * COUNT, LE);
        low.add(low0.add(low1).add(low2.add(low3))).intoMemorySegment(sums, sumsAt, LE);
        high.add(high0.add(high1).add(high2.add(high3))).intoMemorySegment(sums, sumsAt + 4L * COUNT, LE);
    }

    /** The last blocks, fewer than four. */
    private static void rest(
            MemorySegment w,
            long c,
            long v,
            int from,
            int to,
            MemorySegment x,
            long xAt,
            MemorySegment sums,
            long sumsAt) {
        FloatVector sum = FloatVector.fromMemorySegment(F, sums, sumsAt, LE);
        for (int i = from; i < to; i++) {
            long k = w.get(SHORT, c + 2L * i) & 0xffffL;
            sum = FloatVector.fromMemorySegment(F, w, v + BYTES * i, LE)
                    .fma(FloatVector.broadcast(F, x.get(FLOAT, xAt + 4 * k)), sum);
        }
        sum.intoMemorySegment(sums, sumsAt, LE);
    }
}
