package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * y[lo:hi] = bias[lo:hi] + sum over j of x[j] * W[j, lo:hi], W f16 (no infinities, no NaN) stored [in][out].
 *
 * <p>One int load brings two neighbouring weights a lane: the low half belongs to the even, the high half to the odd output. Outputs are therefore summed
 * as groups [evens][odds] in y itself and interleaved once at the end. Each output is one fma chain over the inputs in ascending order, so a full list
 * gives the bits of the dense call. Traffic: the rows of the listed inputs once.
 *
 * <p>The bits of an f16, moved to the places of an f32, read as the weight times 2^-112. x is scaled by 2^64 and the finished sum by 2^48, both exact as
 * long as |x| stays below 2^64: the chain has the bits of one over widened weights, but for sums under 2^-78.
 */
public final class F16ColumnLinear {

    /** Outputs of a slab, kept in L1 or L2 while all inputs pass over them. */
    private static final int SLAB = 16384;

    private F16ColumnLinear() {}

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
        int whole = lo + (hi - lo) / (2 * COUNT) * (2 * COUNT);
        ColumnOrder.startPaired(bias, y, lo, whole, hi, 0x1p-48f);
        slabs(w, rowBytes, index, listed, x, y, lo, whole);
        if (whole < hi) {
            tail(w + 2L * whole, rowBytes, index, listed, x, y + 4L * whole, hi - whole);
        }
        ColumnOrder.finishPaired(y, lo, whole, hi, 0x1p48f);
    }

    /**
     * Whole vectors of outputs, lo..hi. On its own: C2 inlines what is small and not yet compiled, and gives up, allocating vectors for good, on a body that
     * then holds start, sums, tail and finish (docs/decisions/0010).
     */
    private static void slabs(long w, long rowBytes, long index, int listed, long x, long y, int lo, int hi) {
        for (int from = lo; from < hi; from += SLAB) {
            long bytes = 2L * (Math.min(from + SLAB, hi) - from);
            long ys = y + 4L * from;
            long ws = w + 2L * from;
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
                        ALL.get(FLOAT, x + 4 * j0) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j1) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j2) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j3) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j4) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j5) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j6) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j7) * 0x1p64f,
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
                        ALL.get(FLOAT, x + 4 * j0) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j1) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j2) * 0x1p64f,
                        ALL.get(FLOAT, x + 4 * j3) * 0x1p64f,
                        ys,
                        bytes);
            }
            for (; p < listed; p++) {
                long j0 = ColumnOrder.input(index, p);
                add1(ws + j0 * rowBytes, ALL.get(FLOAT, x + 4 * j0) * 0x1p64f, ys, bytes);
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
        IntVector kept = IntVector.broadcast(I, 0x8fffe000);
        for (long o = 0; o < bytes; o += 4L * COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o * 2, LE);
            FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, to + o * 2 + 4L * COUNT, LE);
            IntVector v0 = IntVector.fromMemorySegment(I, ALL, w0 + o, LE);
            s0 = v0.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b0, s0);
            s1 = v0.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b0, s1);
            IntVector v1 = IntVector.fromMemorySegment(I, ALL, w1 + o, LE);
            s0 = v1.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b1, s0);
            s1 = v1.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b1, s1);
            IntVector v2 = IntVector.fromMemorySegment(I, ALL, w2 + o, LE);
            s0 = v2.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b2, s0);
            s1 = v2.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b2, s1);
            IntVector v3 = IntVector.fromMemorySegment(I, ALL, w3 + o, LE);
            s0 = v3.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b3, s0);
            s1 = v3.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b3, s1);
            IntVector v4 = IntVector.fromMemorySegment(I, ALL, w4 + o, LE);
            s0 = v4.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b4, s0);
            s1 = v4.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b4, s1);
            IntVector v5 = IntVector.fromMemorySegment(I, ALL, w5 + o, LE);
            s0 = v5.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b5, s0);
            s1 = v5.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b5, s1);
            IntVector v6 = IntVector.fromMemorySegment(I, ALL, w6 + o, LE);
            s0 = v6.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b6, s0);
            s1 = v6.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b6, s1);
            IntVector v7 = IntVector.fromMemorySegment(I, ALL, w7 + o, LE);
            s0 = v7.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b7, s0);
            s1 = v7.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b7, s1);
            s0.intoMemorySegment(ALL, to + o * 2, LE);
            s1.intoMemorySegment(ALL, to + o * 2 + 4L * COUNT, LE);
        }
    }

    private static void add4(
            long w0, long w1, long w2, long w3, float x0, float x1, float x2, float x3, long to, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        FloatVector b1 = FloatVector.broadcast(F, x1);
        FloatVector b2 = FloatVector.broadcast(F, x2);
        FloatVector b3 = FloatVector.broadcast(F, x3);
        IntVector kept = IntVector.broadcast(I, 0x8fffe000);
        for (long o = 0; o < bytes; o += 4L * COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o * 2, LE);
            FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, to + o * 2 + 4L * COUNT, LE);
            IntVector v0 = IntVector.fromMemorySegment(I, ALL, w0 + o, LE);
            s0 = v0.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b0, s0);
            s1 = v0.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b0, s1);
            IntVector v1 = IntVector.fromMemorySegment(I, ALL, w1 + o, LE);
            s0 = v1.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b1, s0);
            s1 = v1.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b1, s1);
            IntVector v2 = IntVector.fromMemorySegment(I, ALL, w2 + o, LE);
            s0 = v2.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b2, s0);
            s1 = v2.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b2, s1);
            IntVector v3 = IntVector.fromMemorySegment(I, ALL, w3 + o, LE);
            s0 = v3.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b3, s0);
            s1 = v3.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b3, s1);
            s0.intoMemorySegment(ALL, to + o * 2, LE);
            s1.intoMemorySegment(ALL, to + o * 2 + 4L * COUNT, LE);
        }
    }

    private static void add1(long w0, float x0, long to, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        IntVector kept = IntVector.broadcast(I, 0x8fffe000);
        for (long o = 0; o < bytes; o += 4L * COUNT) {
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to + o * 2, LE);
            FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, to + o * 2 + 4L * COUNT, LE);
            IntVector v0 = IntVector.fromMemorySegment(I, ALL, w0 + o, LE);
            s0 = v0.lanewise(VectorOperators.LSHL, 16)
                    .lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b0, s0);
            s1 = v0.lanewise(VectorOperators.ASHR, 3)
                    .and(kept)
                    .reinterpretAsFloats()
                    .fma(b0, s1);
            s0.intoMemorySegment(ALL, to + o * 2, LE);
            s1.intoMemorySegment(ALL, to + o * 2 + 4L * COUNT, LE);
        }
    }

    /** The last outputs, fewer than a group: the same chains in scalar code. */
    private static void tail(long w, long rowBytes, long index, int listed, long x, long y, int count) {
        for (int p = 0; p < listed; p++) {
            long j = ColumnOrder.input(index, p);
            long row = w + j * rowBytes;
            float xj = ALL.get(FLOAT, x + 4 * j) * 0x1p64f;
            for (int o = 0; o < count; o++) {
                ALL.set(
                        FLOAT,
                        y + 4L * o,
                        Math.fma(
                                Float.intBitsToFloat(ALL.get(SHORT, row + 2L * o) << 16 >> 3 & 0x8fffe000),
                                xj,
                                ALL.get(FLOAT, y + 4L * o)));
            }
        }
    }
}
