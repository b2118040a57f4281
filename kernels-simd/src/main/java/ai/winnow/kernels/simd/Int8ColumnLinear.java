package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.BYTE;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.QUARTER;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * y[lo:hi] = bias[lo:hi] + scale[lo:hi] * sum over j of x[j] * W[j, lo:hi], W int8 stored [in][out], one f32 scale an output.
 *
 * <p>Each sum is one fma chain over the inputs in ascending order, so a full list gives the bits of the dense call; scale and bias follow as one fma.
 * Traffic: the rows of the listed inputs once. Widening a vector of bytes while loading it beats shifting four apart from an int vector by 1.4.
 */
public final class Int8ColumnLinear {

    /** Outputs of a slab, kept in L1 or L2 while all inputs pass over them. */
    private static final int SLAB = 16384;

    private Int8ColumnLinear() {}

    /** All inputs. {@code bias} may be 0; {@code rowBytes} is the distance between two inputs' rows. */
    public static void dense(
            long w, long rowBytes, int inputs, long scales, long x, long bias, long y, int lo, int hi) {
        run(w, rowBytes, 0, inputs, scales, x, bias, y, lo, hi);
    }

    /** The inputs of the ascending int32 list {@code index[0..listed)}. */
    public static void listed(
            long w, long rowBytes, long index, int listed, long scales, long x, long bias, long y, int lo, int hi) {
        run(w, rowBytes, index, listed, scales, x, bias, y, lo, hi);
    }

    private static void run(
            long w, long rowBytes, long index, int listed, long scales, long x, long bias, long y, int lo, int hi) {
        int whole = Math.max(lo, lo + (hi - lo - (QUARTER.length() - COUNT)) / COUNT * COUNT);
        ColumnOrder.start(0, y, lo, hi);
        slabs(w, rowBytes, index, listed, x, y, lo, whole);
        if (whole < hi) {
            tail(w + whole, rowBytes, index, listed, x, y + 4L * whole, hi - whole);
        }
        ColumnOrder.scale(scales, bias, y, lo, hi);
    }

    /**
     * Whole vectors of outputs, lo..hi. On its own: C2 inlines what is small and not yet compiled, and gives up, allocating vectors for good, on a body that
     * then holds start, sums, tail and finish (docs/decisions/0010).
     */
    private static void slabs(long w, long rowBytes, long index, int listed, long x, long y, int lo, int hi) {
        for (int from = lo; from < hi; from += SLAB) {
            long bytes = 1L * (Math.min(from + SLAB, hi) - from);
            long ys = y + 4L * from;
            long ws = w + 1L * from;
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
        for (long o = 0; o < bytes; o += COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o * 4, LE);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w0 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b0, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w1 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b1, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w2 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b2, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w3 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b3, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w4 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b4, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w5 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b5, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w6 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b6, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w7 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b7, s0);
            s0.intoMemorySegment(ALL, to + o * 4, LE);
        }
    }

    private static void add4(
            long w0, long w1, long w2, long w3, float x0, float x1, float x2, float x3, long to, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        FloatVector b1 = FloatVector.broadcast(F, x1);
        FloatVector b2 = FloatVector.broadcast(F, x2);
        FloatVector b3 = FloatVector.broadcast(F, x3);
        for (long o = 0; o < bytes; o += COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o * 4, LE);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w0 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b0, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w1 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b1, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w2 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b2, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w3 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b3, s0);
            s0.intoMemorySegment(ALL, to + o * 4, LE);
        }
    }

    private static void add1(long w0, float x0, long to, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        for (long o = 0; o < bytes; o += COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o * 4, LE);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w0 + o, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(b0, s0);
            s0.intoMemorySegment(ALL, to + o * 4, LE);
        }
    }

    /** The last outputs, fewer than a group: the same chains in scalar code. */
    private static void tail(long w, long rowBytes, long index, int listed, long x, long y, int count) {
        for (int p = 0; p < listed; p++) {
            long j = ColumnOrder.input(index, p);
            long row = w + j * rowBytes;
            float xj = ALL.get(FLOAT, x + 4 * j);
            for (int o = 0; o < count; o++) {
                ALL.set(FLOAT, y + 4L * o, Math.fma(ALL.get(BYTE, row + o), xj, ALL.get(FLOAT, y + 4L * o)));
            }
        }
    }
}
