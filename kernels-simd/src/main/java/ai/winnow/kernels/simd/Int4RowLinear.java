package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * y[o] = bias[o] + sum over groups g of scale[o, g] * sum over k in g of x[k] * W[o, k], W int4 stored [out][in] in whole groups
 * ({@link ai.winnow.tensor.Layout.ScaledGroups}), one f32 scale a group of inputs, x prepared.
 *
 * <p>The lower half of a byte meets the even, the upper the odd input. A lane adds the two products of a step of 2 * COUNT inputs, the even one first, and
 * then by one fma that sum times the scale of its group; steps ascend, and the lanes are added by a fixed halving tree, then the bias. A row's bits do not
 * depend on its neighbours, so masked rows equal dense rows. Traffic: the computed rows and their scales once; x stays in L1.
 */
public final class Int4RowLinear {

    /** Two vectors of sums. */
    public static final int SCRATCH_BYTES = 8 * COUNT;

    private Int4RowLinear() {}

    /** Bytes that the prepared x of this many inputs takes. */
    public static long preparedBytes(int inputs) {
        return RowOrder.pairedBytes(inputs);
    }

    /** Once a call: x in groups of [evens][odds], filled up with zeros, as {@link #dense} and {@link #masked} want it. */
    public static void prepare(MemorySegment x, long xAt, int inputs, MemorySegment prepared, long preparedAt) {
        RowOrder.pair(x, xAt, inputs, 1f, prepared, preparedAt);
    }

    /**
     * Rows lo..hi. {@code bias} may be null; {@code rowBytes} and {@code scaleBytes} are the distances between two rows of elements and of scales; scratch
     * is the thread's own and has {@link #SCRATCH_BYTES}.
     */
    public static void dense(
            MemorySegment w,
            long wAt,
            long rowBytes,
            int inputs,
            long scalesAt,
            long scaleBytes,
            int group,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            long biasAt,
            MemorySegment y,
            long yAt,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        for (int o = lo; o < hi; o += 2) {
            int o1 = Math.min(o + 1, hi - 1);
            two(
                    w, wAt, rowBytes, inputs, scalesAt, scaleBytes, group, x, xAt, bias, biasAt, y, yAt, scratch,
                    scratchAt, o, o1);
        }
    }

    /** Those of rows lo..hi that are in the ascending int32 list {@code rows[0..listed)}; the other outputs of lo..hi become zero. */
    public static void masked(
            MemorySegment w,
            long wAt,
            long rowBytes,
            int inputs,
            long scalesAt,
            long scaleBytes,
            int group,
            MemorySegment rows,
            long rowsAt,
            int listed,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            long biasAt,
            MemorySegment y,
            long yAt,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        Lanes.zero(y, yAt + 4L * lo, hi - lo);
        int end = RowOrder.firstAtLeast(rows, rowsAt, listed, hi);
        for (int p = RowOrder.firstAtLeast(rows, rowsAt, listed, lo); p < end; p += 2) {
            int o = rows.get(INT, rowsAt + 4L * p);
            int o1 = rows.get(INT, rowsAt + 4L * Math.min(p + 1, end - 1));
            two(
                    w, wAt, rowBytes, inputs, scalesAt, scaleBytes, group, x, xAt, bias, biasAt, y, yAt, scratch,
                    scratchAt, o, o1);
        }
    }

    /** Two rows at once; one is filled up by naming it again. */
    private static void two(
            MemorySegment w,
            long wAt,
            long rowBytes,
            int inputs,
            long scalesAt,
            long scaleBytes,
            int group,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            long biasAt,
            MemorySegment y,
            long yAt,
            MemorySegment scratch,
            long scratchAt,
            int o0,
            int o1) {
        lanes(
                w,
                wAt + o0 * rowBytes,
                wAt + o1 * rowBytes,
                scalesAt + o0 * scaleBytes,
                scalesAt + o1 * scaleBytes,
                Integer.numberOfTrailingZeros(group / 2),
                x,
                xAt,
                (inputs + 1) / 2,
                scratch,
                scratchAt);
        for (int r = 0; r < 2; r++) {
            int o = r == 0 ? o0 : o1;
            float sum = sum(scratch, scratchAt + 4L * COUNT * r);
            y.set(FLOAT, yAt + 4L * o, bias == null ? sum : sum + bias.get(FLOAT, biasAt + 4L * o));
        }
    }

    /** Two rows, one vector of sums each to {@code scratch}. */
    private static void lanes(
            MemorySegment w,
            long w0,
            long w1,
            long scale0,
            long scale1,
            int shift,
            MemorySegment x,
            long xAt,
            int bytes,
            MemorySegment scratch,
            long scratchAt) {
        IntVector lower = IntVector.broadcast(I, Int4.LOWER);
        IntVector upper = IntVector.broadcast(I, Int4.UPPER);
        IntVector lowerOnes = IntVector.broadcast(I, Int4.LOWER_ONES);
        IntVector upperOnes = IntVector.broadcast(I, Int4.UPPER_ONES);
        FloatVector lowerZero = FloatVector.broadcast(F, Int4.LOWER_ZERO);
        FloatVector upperZero = FloatVector.broadcast(F, Int4.UPPER_ZERO);
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        for (long k = 0; k < bytes; k += COUNT) {
            FloatVector evens = FloatVector.fromMemorySegment(F, x, xAt + 8 * k, LE);
            FloatVector odds = FloatVector.fromMemorySegment(F, x, xAt + 8 * k + 4L * COUNT, LE);
            long group = k >> shift << 2;
            IntVector v0 = (IntVector)
                    ByteVector.fromMemorySegment(Int4.QUARTER, w, w0 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m0 = FloatVector.broadcast(F, w.get(FLOAT, scale0 + group));
            FloatVector even0 = v0.and(lower).or(lowerOnes).reinterpretAsFloats().sub(lowerZero).mul(evens);
            s0 = v0.and(upper).or(upperOnes).reinterpretAsFloats().sub(upperZero).fma(odds, even0).fma(m0, s0);
            IntVector v1 = (IntVector)
                    ByteVector.fromMemorySegment(Int4.QUARTER, w, w1 + k, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector m1 = FloatVector.broadcast(F, w.get(FLOAT, scale1 + group));
            FloatVector even1 = v1.and(lower).or(lowerOnes).reinterpretAsFloats().sub(lowerZero).mul(evens);
            s1 = v1.and(upper).or(upperOnes).reinterpretAsFloats().sub(upperZero).fma(odds, even1).fma(m1, s1);
        }
        s0.intoMemorySegment(scratch, scratchAt, LE);
        s1.intoMemorySegment(scratch, scratchAt + 4L * COUNT, LE);
    }

    /** The halving tree. */
    private static float sum(MemorySegment scratch, long scratchAt) {
        FloatVector sum = FloatVector.fromMemorySegment(F, scratch, scratchAt, LE);
        if (COUNT > 8) {
            sum = sum.add(sum.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            sum = sum.add(sum.rearrange(Lanes.FOLD4));
        }
        sum = sum.add(sum.rearrange(Lanes.FOLD2));
        sum = sum.add(sum.rearrange(Lanes.FOLD1));
        return sum.lane(0);
    }
}
