package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.BYTE;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.QUARTER;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * y[lo:hi] = bias[lo:hi] + sum over j of x[j] * (scale[j, group of o] * W[j, o]), W int4 stored [in][out] in cells of 32 outputs
 * ({@link ai.winnow.tensor.Layout.ScaledGroups}), one f32 scale an input and group of outputs. {@code lo} is a multiple of the group.
 *
 * <p>A weight is its element times its scale, rounded to f32. Each output is one fma chain over the inputs in ascending order, started by the bias: a full
 * list gives the bits of the dense call, and both those of {@link Gemm} and of the f32 kernels on the same weights. Traffic: the rows of the listed inputs
 * and of their scales once.
 *
 * <p>Halves of bytes become floats without a conversion ({@link Int4}). Four inputs a pass: two streams alone wait for memory (4096 -> 11008, one thread: 4.2 ms, with four 3.2).
 */
public final class Int4ColumnLinear {

    /** Outputs of a slab, kept in L1 while all inputs pass over them. */
    private static final int SLAB = 8192;

    private Int4ColumnLinear() {}

    /**
     * All inputs. {@code bias} may be 0; {@code rowBytes} and {@code scaleBytes} are the distances between two inputs' rows of elements and of scales.
     */
    public static void dense(
            long w,
            long rowBytes,
            int inputs,
            long scales,
            long scaleBytes,
            int group,
            long x,
            long bias,
            long y,
            int lo,
            int hi) {
        run(w, rowBytes, 0, inputs, scales, scaleBytes, group, x, bias, y, lo, hi);
    }

    /** The inputs of the ascending int32 list {@code index[0..listed)}. */
    public static void listed(
            long w,
            long rowBytes,
            long index,
            int listed,
            long scales,
            long scaleBytes,
            int group,
            long x,
            long bias,
            long y,
            int lo,
            int hi) {
        run(w, rowBytes, index, listed, scales, scaleBytes, group, x, bias, y, lo, hi);
    }

    private static void run(
            long w,
            long rowBytes,
            long index,
            int listed,
            long scales,
            long scaleBytes,
            int group,
            long x,
            long bias,
            long y,
            int lo,
            int hi) {
        assert lo % group == 0;
        int whole = hi / Int4.CELL * Int4.CELL;
        // Bytes of a row, shifted by this, are groups.
        int shift = Integer.numberOfTrailingZeros(group / 2);
        ColumnOrder.start(bias, y, lo, hi);
        slabs(w, rowBytes, index, listed, scales, scaleBytes, shift, x, y, lo, whole);
        if (whole < hi) {
            tail(w, rowBytes, index, listed, scales, scaleBytes, group, x, y, whole, hi);
        }
    }

    /** Whole cells of outputs, lo..hi. On its own: C2 then has no other body to inline beside it. */
    private static void slabs(
            long w,
            long rowBytes,
            long index,
            int listed,
            long scales,
            long scaleBytes,
            int shift,
            long x,
            long y,
            int lo,
            int hi) {
        for (int from = lo; from < hi; from += SLAB) {
            long bytes = (Math.min(from + SLAB, hi) - from) / 2L;
            long ws = w + from / 2;
            long slabScales = scales + (((from / 2) >> shift) << 2);
            long ys = y + 4L * from;
            int p = 0;
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
                        slabScales + j0 * scaleBytes,
                        slabScales + j1 * scaleBytes,
                        slabScales + j2 * scaleBytes,
                        slabScales + j3 * scaleBytes,
                        shift,
                        ALL.get(FLOAT, x + 4 * j0),
                        ALL.get(FLOAT, x + 4 * j1),
                        ALL.get(FLOAT, x + 4 * j2),
                        ALL.get(FLOAT, x + 4 * j3),
                        ys,
                        bytes);
            }
            for (; p + 2 <= listed; p += 2) {
                long j0 = ColumnOrder.input(index, p);
                long j1 = ColumnOrder.input(index, p + 1);
                add2(
                        ws + j0 * rowBytes,
                        ws + j1 * rowBytes,
                        slabScales + j0 * scaleBytes,
                        slabScales + j1 * scaleBytes,
                        shift,
                        ALL.get(FLOAT, x + 4 * j0),
                        ALL.get(FLOAT, x + 4 * j1),
                        ys,
                        bytes);
            }
            if (p < listed) {
                long j0 = ColumnOrder.input(index, p);
                add1(ws + j0 * rowBytes, slabScales + j0 * scaleBytes, shift, ALL.get(FLOAT, x + 4 * j0), ys, bytes);
            }
        }
    }

    /** The rows of four inputs. */
    private static void add4(
            long w0,
            long w1,
            long w2,
            long w3,
            long scale0,
            long scale1,
            long scale2,
            long scale3,
            int shift,
            float x0,
            float x1,
            float x2,
            float x3,
            long ys,
            long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        FloatVector b1 = FloatVector.broadcast(F, x1);
        FloatVector b2 = FloatVector.broadcast(F, x2);
        FloatVector b3 = FloatVector.broadcast(F, x3);
        IntVector lower = IntVector.broadcast(I, Int4.LOWER);
        IntVector upper = IntVector.broadcast(I, Int4.UPPER);
        IntVector lowerOnes = IntVector.broadcast(I, Int4.LOWER_ONES);
        IntVector upperOnes = IntVector.broadcast(I, Int4.UPPER_ONES);
        FloatVector lowerZero = FloatVector.broadcast(F, Int4.LOWER_ZERO);
        FloatVector upperZero = FloatVector.broadcast(F, Int4.UPPER_ZERO);
        for (long k = 0; k < bytes; k += COUNT) {
            long to = ys + Int4.outputs(k);
            long group = (k >> shift) << 2;
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to, LE);
            FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, to + 64, LE);
            IntVector v0 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, w0 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scale0 + group));
            s0 = v0.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(m0)
                    .fma(b0, s0);
            s1 = v0.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(m0)
                    .fma(b0, s1);
            IntVector v1 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, w1 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scale1 + group));
            s0 = v1.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(m1)
                    .fma(b1, s0);
            s1 = v1.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(m1)
                    .fma(b1, s1);
            IntVector v2 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, w2 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scale2 + group));
            s0 = v2.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(m2)
                    .fma(b2, s0);
            s1 = v2.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(m2)
                    .fma(b2, s1);
            IntVector v3 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, w3 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m3 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scale3 + group));
            s0 = v3.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(m3)
                    .fma(b3, s0);
            s1 = v3.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(m3)
                    .fma(b3, s1);
            s0.intoMemorySegment(ALL, to, LE);
            s1.intoMemorySegment(ALL, to + 64, LE);
        }
    }

    /** The rows of two inputs. */
    private static void add2(
            long w0, long w1, long scale0, long scale1, int shift, float x0, float x1, long ys, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        FloatVector b1 = FloatVector.broadcast(F, x1);
        IntVector lower = IntVector.broadcast(I, Int4.LOWER);
        IntVector upper = IntVector.broadcast(I, Int4.UPPER);
        IntVector lowerOnes = IntVector.broadcast(I, Int4.LOWER_ONES);
        IntVector upperOnes = IntVector.broadcast(I, Int4.UPPER_ONES);
        FloatVector lowerZero = FloatVector.broadcast(F, Int4.LOWER_ZERO);
        FloatVector upperZero = FloatVector.broadcast(F, Int4.UPPER_ZERO);
        for (long k = 0; k < bytes; k += COUNT) {
            long to = ys + Int4.outputs(k);
            long group = (k >> shift) << 2;
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to, LE);
            FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, to + 64, LE);
            IntVector v0 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, w0 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scale0 + group));
            s0 = v0.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(m0)
                    .fma(b0, s0);
            s1 = v0.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(m0)
                    .fma(b0, s1);
            IntVector v1 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, w1 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scale1 + group));
            s0 = v1.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(m1)
                    .fma(b1, s0);
            s1 = v1.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(m1)
                    .fma(b1, s1);
            s0.intoMemorySegment(ALL, to, LE);
            s1.intoMemorySegment(ALL, to + 64, LE);
        }
    }

    private static void add1(long w0, long scale0, int shift, float x0, long ys, long bytes) {
        FloatVector b0 = FloatVector.broadcast(F, x0);
        IntVector lower = IntVector.broadcast(I, Int4.LOWER);
        IntVector upper = IntVector.broadcast(I, Int4.UPPER);
        IntVector lowerOnes = IntVector.broadcast(I, Int4.LOWER_ONES);
        IntVector upperOnes = IntVector.broadcast(I, Int4.UPPER_ONES);
        FloatVector lowerZero = FloatVector.broadcast(F, Int4.LOWER_ZERO);
        FloatVector upperZero = FloatVector.broadcast(F, Int4.UPPER_ZERO);
        for (long k = 0; k < bytes; k += COUNT) {
            long to = ys + Int4.outputs(k);
            FloatVector s0 = FloatVector.fromMemorySegment(F, ALL, to, LE);
            FloatVector s1 = FloatVector.fromMemorySegment(F, ALL, to + 64, LE);
            IntVector v0 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, w0 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scale0 + ((k >> shift) << 2)));
            s0 = v0.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(m0)
                    .fma(b0, s0);
            s1 = v0.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(m0)
                    .fma(b0, s1);
            s0.intoMemorySegment(ALL, to, LE);
            s1.intoMemorySegment(ALL, to + 64, LE);
        }
    }

    /** The last outputs, fewer than a cell: the same chains in scalar code. */
    private static void tail(
            long w,
            long rowBytes,
            long index,
            int listed,
            long scales,
            long scaleBytes,
            int group,
            long x,
            long y,
            int whole,
            int hi) {
        for (int p = 0; p < listed; p++) {
            long j = ColumnOrder.input(index, p);
            long row = w + j * rowBytes + whole / 2;
            float xj = ALL.get(FLOAT, x + 4 * j);
            float scale = ALL.get(FLOAT, scales + j * scaleBytes + 4L * (whole / group));
            for (int o = whole; o < hi; o++) {
                int place = o - whole;
                int element = ((ALL.get(BYTE, row + place % 16) >> (4 * (place / 16))) & 0xf) - 8;
                ALL.set(FLOAT, y + 4L * o, Math.fma(element * scale, xj, ALL.get(FLOAT, y + 4L * o)));
            }
        }
    }
}
