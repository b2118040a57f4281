package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.BYTE;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.DOUBLE_HIGH;
import static ai.winnow.kernels.simd.Lanes.DOUBLE_LOW;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.ODD_LANES;
import static ai.winnow.kernels.simd.Lanes.QUARTER;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.Layout.ScaledGroups;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Halves of bytes to floats. A byte is widened to an int; its lower half, put into the fraction of 2^23, is the number 2^23 + half, and its upper half, put
 * into that of 2^19, is 2^19 + half: one ternary logic operation where there is one, then a subtraction, both exact. No conversion, no shift.
 */
final class Int4 {

    static final int CELL = ScaledGroups.CELL;

    static final int LOWER = 0x0f;
    static final int UPPER = 0xf0;

    /** Bits of 2^23 and of 2^19: one more in the half is one more in the number. */
    static final int LOWER_ONES = 0x4b000000;

    static final int UPPER_ONES = 0x49000000;

    /** What an element of zero, stored as 8, looks like. */
    static final float LOWER_ZERO = 0x1p23f + 8;

    static final float UPPER_ZERO = 0x1p19f + 8;

    private Int4() {}

    /** Of the outputs in the lower halves of bytes {@code k} to {@code k + COUNT} of a column-major row, the first; in bytes of f32. */
    static long outputs(long k) {
        return COUNT == 16 ? 8 * k : 8 * (k & -16) + 4 * (k & 15);
    }

    /**
     * A column-major block as f32 [inputs][pitch]: outputs {@code lo} to {@code lo + width} rounded up to whole cells, of {@code inputs} inputs.
     * {@code lo} is a multiple of 32.
     *
     * @param index the int32 inputs, or 0 for the first
     */
    static void widenColumns(
            long w,
            long rowBytes,
            long scales,
            long scaleBytes,
            int group,
            long index,
            int lo,
            int width,
            int inputs,
            long to,
            long pitch) {
        int shift = Integer.numberOfTrailingZeros(group / 2);
        long begin = lo / 2L;
        long end = begin + (width + CELL - 1) / CELL * (CELL / 2L);
        for (int j = 0; j < inputs; j++) {
            long input = ColumnOrder.input(index, j);
            widenColumn(
                    w + input * rowBytes,
                    scales + input * scaleBytes,
                    shift,
                    begin,
                    end,
                    to + j * pitch - outputs(begin));
        }
    }

    private static void widenColumn(long row, long scales, int shift, long begin, long end, long to) {
        IntVector lower = IntVector.broadcast(I, LOWER);
        IntVector upper = IntVector.broadcast(I, UPPER);
        IntVector lowerOnes = IntVector.broadcast(I, LOWER_ONES);
        IntVector upperOnes = IntVector.broadcast(I, UPPER_ONES);
        FloatVector lowerZero = FloatVector.broadcast(F, LOWER_ZERO);
        FloatVector upperZero = FloatVector.broadcast(F, UPPER_ZERO);
        for (long k = begin; k < end; k += COUNT) {
            long at = to + outputs(k);
            IntVector v = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, row + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector scale = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scales + ((k >> shift) << 2)));
            v.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(scale)
                    .intoMemorySegment(ALL, at, LE);
            v.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(scale)
                    .intoMemorySegment(ALL, at + 64, LE);
        }
    }

    /**
     * A row-major run as f32: {@code count} elements of a row from element {@code from}, a multiple of 32, on.
     */
    static void widenRow(long row, long scales, int group, int from, int count, long to) {
        IntVector lower = IntVector.broadcast(I, LOWER);
        IntVector upper = IntVector.broadcast(I, UPPER);
        IntVector lowerOnes = IntVector.broadcast(I, LOWER_ONES);
        IntVector upperOnes = IntVector.broadcast(I, UPPER_ONES);
        FloatVector lowerZero = FloatVector.broadcast(F, LOWER_ZERO);
        FloatVector upperZero = FloatVector.broadcast(F, UPPER_ZERO);
        int whole = count / (2 * COUNT) * (2 * COUNT);
        for (int i = 0; i < whole; i += 2 * COUNT) {
            IntVector v = (IntVector) ByteVector.fromMemorySegment(QUARTER, ALL, row + (from + i) / 2, LE)
                    .convertShape(VectorOperators.B2I, I, 0);
            FloatVector scale = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, scales + 4L * ((from + i) / group)));
            FloatVector evens = v.and(lower)
                    .or(lowerOnes)
                    .reinterpretAsFloats()
                    .sub(lowerZero)
                    .mul(scale);
            FloatVector odds = v.and(upper)
                    .or(upperOnes)
                    .reinterpretAsFloats()
                    .sub(upperZero)
                    .mul(scale);
            evens.rearrange(DOUBLE_LOW)
                    .blend(odds.rearrange(DOUBLE_LOW), ODD_LANES)
                    .intoMemorySegment(ALL, to + 4L * i, LE);
            evens.rearrange(DOUBLE_HIGH)
                    .blend(odds.rearrange(DOUBLE_HIGH), ODD_LANES)
                    .intoMemorySegment(ALL, to + 4L * (i + COUNT), LE);
        }
        for (int i = whole; i < count; i++) {
            int place = from + i;
            int element = ((ALL.get(BYTE, row + place / 2) >> (4 * (place % 2))) & 0xf) - 8;
            ALL.set(FLOAT, to + 4L * i, element * ALL.get(FLOAT, scales + 4L * (place / group)));
        }
    }
}
