package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;

/**
 * y[lo:hi] = bias[lo:hi] + sum over j of x[j] * W[j, lo:hi], W f32 stored [in][out].
 *
 * <p>Each output is one fma chain over the inputs in ascending order, so a full list gives the bits of the dense call. Traffic: the rows of the listed
 * inputs once; the slab of outputs stays in cache and is read and written once for every eight inputs. Row pieces under 4 KB lose up to a third of
 * the bandwidth.
 */
public final class F32ColumnLinear {

    /** Outputs of a slab, kept in L1 or L2 while all inputs pass over them. */
    private static final int SLAB = 16384;

    private F32ColumnLinear() {}

    /** All inputs. {@code bias} may be 0; {@code rowBytes} is the distance between two inputs' rows. */
    public static void dense(long w, long rowBytes, int inputs, long x, long bias, long y, int lo, int hi) {
        run(w, rowBytes, 0, inputs, x, bias, y, lo, hi);
    }

    /** The inputs of the ascending int32 list {@code index[0..listed)}. */
    public static void listed(
            long w, long rowBytes, long index, int listed, long x, long bias, long y, int lo, int hi) {
        run(w, rowBytes, index, listed, x, bias, y, lo, hi);
    }

    private static void run(long w, long rowBytes, long index, int listed, long x, long bias, long y, int lo, int hi) {
        int whole = lo + (hi - lo) / COUNT * COUNT;
        ColumnOrder.start(bias, y, lo, hi);
        slabs(w, rowBytes, index, listed, x, y, lo, whole);
        if (whole < hi) {
            tail(w + 4L * whole, rowBytes, index, listed, x, y + 4L * whole, hi - whole);
        }
    }

    /**
     * Whole vectors of outputs, lo..hi. On its own: C2 inlines what is small and not yet compiled, and gives up, allocating vectors for good, on a body that
     * then holds start, sums, tail and finish (docs/decisions/0010).
     */
    private static void slabs(long w, long rowBytes, long index, int listed, long x, long y, int lo, int hi) {
        for (int from = lo; from < hi; from += SLAB) {
            long bytes = 4L * (Math.min(from + SLAB, hi) - from);
            long ys = y + 4L * from;
            long ws = w + 4L * from;
            int p = 0;
            for (; p + 8 <= listed; p += 8) {
                long j0 = ColumnOrder.input(index, p);
                long j1 = ColumnOrder.input(index, p + 1);
                long j2 = ColumnOrder.input(index, p + 2);
                long j3 = ColumnOrder.input(index, p + 3);
                long j4 = ColumnOrder.input(index, p + 4);
                long j5 = ColumnOrder.input(index, p + 5);
                long j6 = ColumnOrder.input(index, p + 6);
                long j7 = ColumnOrder.input(index, p + 7);
                add8(
                        ws + j0 * rowBytes,
                        ws + j1 * rowBytes,
                        ws + j2 * rowBytes,
                        ws + j3 * rowBytes,
                        ws + j4 * rowBytes,
                        ws + j5 * rowBytes,
                        ws + j6 * rowBytes,
                        ws + j7 * rowBytes,
                        ALL.get(FLOAT, x + 4 * j0),
                        ALL.get(FLOAT, x + 4 * j1),
                        ALL.get(FLOAT, x + 4 * j2),
                        ALL.get(FLOAT, x + 4 * j3),
                        ALL.get(FLOAT, x + 4 * j4),
                        ALL.get(FLOAT, x + 4 * j5),
                        ALL.get(FLOAT, x + 4 * j6),
                        ALL.get(FLOAT, x + 4 * j7),
                        ys,
                        bytes);
            }
            for (; p + 4 <= listed; p += 4) {
                long j0 = ColumnOrder.input(index, p);
                long j1 = ColumnOrder.input(index, p + 1);
                long j2 = ColumnOrder.input(index, p + 2);
                long j3 = ColumnOrder.input(index, p + 3);
                add4(
                        ws + j0 * rowBytes,
                        ws + j1 * rowBytes,
                        ws + j2 * rowBytes,
                        ws + j3 * rowBytes,
                        ALL.get(FLOAT, x + 4 * j0),
                        ALL.get(FLOAT, x + 4 * j1),
                        ALL.get(FLOAT, x + 4 * j2),
                        ALL.get(FLOAT, x + 4 * j3),
                        ys,
                        bytes);
            }
            for (; p < listed; p++) {
                long j0 = ColumnOrder.input(index, p);
                add1(ws + j0 * rowBytes, ALL.get(FLOAT, x + 4 * j0), ys, bytes);
            }
        }
    }

    private static void add8(
            long w0,
            long w1,
            long w2,
            long w3,
            long w4,
            long w5,
            long w6,
            long w7,
            float x0,
            float x1,
            float x2,
            float x3,
            float x4,
            float x5,
            float x6,
            float x7,
            long to,
            long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        FloatVector b1 = FloatVector.broadcast(F, x1);
        FloatVector b2 = FloatVector.broadcast(F, x2);
        FloatVector b3 = FloatVector.broadcast(F, x3);
        FloatVector b4 = FloatVector.broadcast(F, x4);
        FloatVector b5 = FloatVector.broadcast(F, x5);
        FloatVector b6 = FloatVector.broadcast(F, x6);
        FloatVector b7 = FloatVector.broadcast(F, x7);
        for (long o = 0; o < bytes; o += 4L * COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o, LE);
            s0 = FloatVector.fromMemorySegment(F, ALL, w0 + o, LE).fma(b0, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w1 + o, LE).fma(b1, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w2 + o, LE).fma(b2, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w3 + o, LE).fma(b3, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w4 + o, LE).fma(b4, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w5 + o, LE).fma(b5, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w6 + o, LE).fma(b6, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w7 + o, LE).fma(b7, s0);
            s0.intoMemorySegment(ALL, to + o, LE);
        }
    }

    private static void add4(
            long w0, long w1, long w2, long w3, float x0, float x1, float x2, float x3, long to, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        FloatVector b1 = FloatVector.broadcast(F, x1);
        FloatVector b2 = FloatVector.broadcast(F, x2);
        FloatVector b3 = FloatVector.broadcast(F, x3);
        for (long o = 0; o < bytes; o += 4L * COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o, LE);
            s0 = FloatVector.fromMemorySegment(F, ALL, w0 + o, LE).fma(b0, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w1 + o, LE).fma(b1, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w2 + o, LE).fma(b2, s0);
            s0 = FloatVector.fromMemorySegment(F, ALL, w3 + o, LE).fma(b3, s0);
            s0.intoMemorySegment(ALL, to + o, LE);
        }
    }

    private static void add1(long w0, float x0, long to, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        for (long o = 0; o < bytes; o += 4L * COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o, LE);
            s0 = FloatVector.fromMemorySegment(F, ALL, w0 + o, LE).fma(b0, s0);
            s0.intoMemorySegment(ALL, to + o, LE);
        }
    }

    /** The last outputs, fewer than a vector: the same chain, kept in one masked register. */
    private static void tail(long w, long rowBytes, long index, int listed, long x, long y, int count) {
        var mask = F.indexInRange(0, count);
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, y, LE, mask);
        for (int p = 0; p < listed; p++) {
            long j = ColumnOrder.input(index, p);
            FloatVector row = FloatVector.fromMemorySegment(F, ALL, w + j * rowBytes, LE, mask);
            sum = row.fma(FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, x + 4 * j)), sum);
        }
        sum.intoMemorySegment(ALL, y, LE, mask);
    }
}
