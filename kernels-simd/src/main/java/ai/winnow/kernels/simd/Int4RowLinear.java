package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.Layout.ScaledGroups;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;

/**
 * y[o] = bias[o] + sum over groups g of scale[o, g] * sum over k in g of x[k] * W[o, k], W int4 stored [out][in] in whole groups
 * ({@link ScaledGroups}), one f32 scale a group of inputs, x prepared.
 *
 * <p>An int is eight neighbouring inputs. Each half byte, put where it lies into the fraction of the power of two for which it counts ones, is that power plus
 * the element plus 8: one ternary logic operation where there is one, then a subtraction, both exact. Only the upper three must be shifted, together.
 *
 * <p>In a step of 8 * COUNT inputs a lane sums the even and the odd ones of its eight, each in ascending order, adds the two, and then by one fma that sum
 * times the scale of its group; steps ascend, the lanes are added by a fixed halving tree, then the bias. A row's bits do not depend on its neighbours, so
 * masked rows equal dense rows. Traffic: the computed rows and their scales once, in sequence; x stays in L1. The last step of a row reads on into what
 * follows it, times an x of zero.
 */
public final class Int4RowLinear {

    /** A vector of sums. */
    public static final int SCRATCH_BYTES = 4 * COUNT;

    /** Inputs of a step. */
    private static final int BLOCK = 8 * COUNT;

    private static final long VECTOR = 4L * COUNT;

    /** Lane i, which has inputs 8i to 8i + 7, from the scale of their group: of 32, or of more than a step. */
    private static final VectorShuffle<Float> SPREAD = VectorShuffle.fromOp(F, i -> i / 4);

    private static final VectorShuffle<Float> FIRST = VectorShuffle.fromOp(F, i -> 0);

    private Int4RowLinear() {}

    /** Bytes that the prepared x of this many inputs takes. */
    public static long preparedBytes(int inputs) {
        return 4L * BLOCK * Math.ceilDiv(inputs, BLOCK);
    }

    /** Once a call: x in blocks of [input / 8 remainder][input / 8], filled up with zeros, as {@link #dense} and {@link #masked} want it. */
    public static void prepare(long x, int inputs, long prepared) {
        for (int block = 0; block < inputs; block += BLOCK) {
            for (int lane = 0; lane < COUNT; lane++) {
                for (int n = 0; n < 8; n++) {
                    int k = block + 8 * lane + n;
                    float value = k < inputs ? ALL.get(FLOAT, x + 4L * k) : 0;
                    ALL.set(FLOAT, prepared + 4L * (block + COUNT * n + lane), value);
                }
            }
        }
    }

    /**
     * Rows lo..hi. {@code bias} may be 0; {@code rowBytes} and {@code scaleBytes} are the distances between two rows of elements and of scales; scratch
     * is the thread's own and has {@link #SCRATCH_BYTES}.
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
            int hi,
            long scratch) {
        for (int o = lo; o < hi; o++) {
            row(w, rowBytes, inputs, scales, scaleBytes, group, x, bias, y, scratch, o);
        }
    }

    /** Those of rows lo..hi that are in the ascending int32 list {@code rows[0..listed)}; the other outputs of lo..hi become zero. */
    public static void masked(
            long w,
            long rowBytes,
            int inputs,
            long scales,
            long scaleBytes,
            int group,
            long rows,
            int listed,
            long x,
            long bias,
            long y,
            int lo,
            int hi,
            long scratch) {
        Lanes.zero(y + 4L * lo, hi - lo);
        int end = RowOrder.firstAtLeast(rows, listed, hi);
        for (int p = RowOrder.firstAtLeast(rows, listed, lo); p < end; p++) {
            row(w, rowBytes, inputs, scales, scaleBytes, group, x, bias, y, scratch, ALL.get(INT, rows + 4L * p));
        }
    }

    private static void row(
            long w,
            long rowBytes,
            int inputs,
            long scales,
            long scaleBytes,
            int group,
            long x,
            long bias,
            long y,
            long scratch,
            int o) {
        int shift = Integer.numberOfTrailingZeros(group / 2);
        long bytes = Math.ceilDiv(inputs, BLOCK) * (BLOCK / 2L);
        lanes(
                w + o * rowBytes,
                scales + o * scaleBytes,
                shift,
                group == ScaledGroups.SMALL ? SPREAD : FIRST,
                x,
                bytes,
                scratch);
        float sum = sum(scratch);
        ALL.set(FLOAT, y + 4L * o, bias == 0 ? sum : sum + ALL.get(FLOAT, bias + 4L * o));
    }

    /** One row, its vector of sums to {@code scratch}. */
    private static void lanes(
            long row, long scales, int shift, VectorShuffle<Float> spread, long x, long bytes, long scratch) {
        IntVector half0 = IntVector.broadcast(I, 0xf << 0);
        IntVector ones0 = IntVector.broadcast(I, 0x4b000000);
        FloatVector zero0 = FloatVector.broadcast(F, 0x1p23f + 8);
        IntVector half1 = IntVector.broadcast(I, 0xf << 4);
        IntVector ones1 = IntVector.broadcast(I, 0x49000000);
        FloatVector zero1 = FloatVector.broadcast(F, 0x1p19f + 8);
        IntVector half2 = IntVector.broadcast(I, 0xf << 8);
        IntVector ones2 = IntVector.broadcast(I, 0x47000000);
        FloatVector zero2 = FloatVector.broadcast(F, 0x1p15f + 8);
        IntVector half3 = IntVector.broadcast(I, 0xf << 12);
        IntVector ones3 = IntVector.broadcast(I, 0x45000000);
        FloatVector zero3 = FloatVector.broadcast(F, 0x1p11f + 8);
        IntVector half4 = IntVector.broadcast(I, 0xf << 16);
        IntVector ones4 = IntVector.broadcast(I, 0x43000000);
        FloatVector zero4 = FloatVector.broadcast(F, 0x1p7f + 8);
        FloatVector s = FloatVector.zero(F);
        for (long k = 0; k < bytes; k += 4L * COUNT) {
            IntVector v = IntVector.fromMemorySegment(I, ALL, row + k, LE);
            IntVector h = v.lanewise(VectorOperators.LSHR, 12);
            long at = x + 8 * k;
            FloatVector evens = v.and(half0)
                    .or(ones0)
                    .reinterpretAsFloats()
                    .sub(zero0)
                    .mul(FloatVector.fromMemorySegment(F, ALL, at + 0 * VECTOR, LE));
            FloatVector odds = v.and(half1)
                    .or(ones1)
                    .reinterpretAsFloats()
                    .sub(zero1)
                    .mul(FloatVector.fromMemorySegment(F, ALL, at + 1 * VECTOR, LE));
            evens = v.and(half2)
                    .or(ones2)
                    .reinterpretAsFloats()
                    .sub(zero2)
                    .fma(FloatVector.fromMemorySegment(F, ALL, at + 2 * VECTOR, LE), evens);
            odds = v.and(half3)
                    .or(ones3)
                    .reinterpretAsFloats()
                    .sub(zero3)
                    .fma(FloatVector.fromMemorySegment(F, ALL, at + 3 * VECTOR, LE), odds);
            evens = v.and(half4)
                    .or(ones4)
                    .reinterpretAsFloats()
                    .sub(zero4)
                    .fma(FloatVector.fromMemorySegment(F, ALL, at + 4 * VECTOR, LE), evens);
            odds = h.and(half2)
                    .or(ones2)
                    .reinterpretAsFloats()
                    .sub(zero2)
                    .fma(FloatVector.fromMemorySegment(F, ALL, at + 5 * VECTOR, LE), odds);
            evens = h.and(half3)
                    .or(ones3)
                    .reinterpretAsFloats()
                    .sub(zero3)
                    .fma(FloatVector.fromMemorySegment(F, ALL, at + 6 * VECTOR, LE), evens);
            odds = h.and(half4)
                    .or(ones4)
                    .reinterpretAsFloats()
                    .sub(zero4)
                    .fma(FloatVector.fromMemorySegment(F, ALL, at + 7 * VECTOR, LE), odds);
            FloatVector scale = FloatVector.fromMemorySegment(F, ALL, scales + ((k >> shift) << 2), LE)
                    .rearrange(spread);
            s = evens.add(odds).fma(scale, s);
        }
        s.intoMemorySegment(ALL, scratch, LE);
    }

    /** The halving tree. */
    private static float sum(long scratch) {
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, scratch, LE);
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
