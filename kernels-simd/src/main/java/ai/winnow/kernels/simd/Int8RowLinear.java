package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.QUARTER;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * y[o] = bias[o] + scale[o] * sum over k of x[k] * W[o, k], W int8 stored [out][in], one f32 scale a row.
 *
 * <p>A lane is one fma chain over its inputs in ascending order; the lanes are added by a fixed halving tree. A row's bits do not depend on its neighbours,
 * so masked rows equal dense rows. Traffic: the computed rows once; x stays in L1.
 */
public final class Int8RowLinear {

    /** Eight vectors of sums. */
    public static final int SCRATCH_BYTES = 32 * COUNT;

    private Int8RowLinear() {}

    /** Rows lo..hi. {@code bias} may be 0; scratch is the thread's own and has {@link #SCRATCH_BYTES}. */
    public static void dense(
            long w, long rowBytes, int inputs, long scales, long x, long bias, long y, int lo, int hi, long scratch) {
        for (int o = lo; o < hi; o += 8) {
            int last = hi - 1;
            eight(
                    w,
                    rowBytes,
                    inputs,
                    x,
                    scales,
                    bias,
                    y,
                    scratch,
                    o,
                    Math.min(o + 1, last),
                    Math.min(o + 2, last),
                    Math.min(o + 3, last),
                    Math.min(o + 4, last),
                    Math.min(o + 5, last),
                    Math.min(o + 6, last),
                    Math.min(o + 7, last));
        }
    }

    /** Those of rows lo..hi that are in the ascending int32 list {@code rows[0..listed)}; the other outputs of lo..hi become zero. */
    public static void masked(
            long w,
            long rowBytes,
            int inputs,
            long scales,
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
        for (int p = RowOrder.firstAtLeast(rows, listed, lo); p < end; p += 8) {
            int last = end - 1;
            eight(
                    w,
                    rowBytes,
                    inputs,
                    x,
                    scales,
                    bias,
                    y,
                    scratch,
                    ALL.get(INT, rows + 4L * p),
                    ALL.get(INT, rows + 4L * Math.min(p + 1, last)),
                    ALL.get(INT, rows + 4L * Math.min(p + 2, last)),
                    ALL.get(INT, rows + 4L * Math.min(p + 3, last)),
                    ALL.get(INT, rows + 4L * Math.min(p + 4, last)),
                    ALL.get(INT, rows + 4L * Math.min(p + 5, last)),
                    ALL.get(INT, rows + 4L * Math.min(p + 6, last)),
                    ALL.get(INT, rows + 4L * Math.min(p + 7, last)));
        }
    }

    /** Eight rows at once; fewer are filled up by naming a row again. */
    private static void eight(
            long w,
            long rowBytes,
            int inputs,
            long x,
            long scales,
            long bias,
            long y,
            long scratch,
            int o0,
            int o1,
            int o2,
            int o3,
            int o4,
            int o5,
            int o6,
            int o7) {
        int whole = (inputs - (QUARTER.length() - COUNT)) / (2 * COUNT) * (2 * COUNT);
        lanes(
                w + o0 * rowBytes,
                w + o1 * rowBytes,
                w + o2 * rowBytes,
                w + o3 * rowBytes,
                w + o4 * rowBytes,
                w + o5 * rowBytes,
                w + o6 * rowBytes,
                w + o7 * rowBytes,
                x,
                whole,
                scratch);
        for (int r = 0; r < 8; r++) { // one call: C2 gives up on a body that holds row() eight times
            int o =
                    switch (r) {
                        case 0 -> o0;
                        case 1 -> o1;
                        case 2 -> o2;
                        case 3 -> o3;
                        case 4 -> o4;
                        case 5 -> o5;
                        case 6 -> o6;
                        default -> o7;
                    };
            long sums = scratch + 4L * COUNT * r;
            row(w + o * rowBytes, whole, inputs, x, sums, o, scales, bias, y);
        }
    }

    /** The whole steps of eight rows, one vector of sums each to {@code scratch}. */
    private static void lanes(
            long w0, long w1, long w2, long w3, long w4, long w5, long w6, long w7, long x, int whole, long scratch) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector s4 = s0;
        FloatVector s5 = s0;
        FloatVector s6 = s0;
        FloatVector s7 = s0;
        for (int k = 0; k < whole; k += 2 * COUNT) {
            FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * k, LE);
            FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (k + COUNT), LE);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w0 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s0);
            s0 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w0 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s0);
            s1 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w1 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s1);
            s1 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w1 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s1);
            s2 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w2 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s2);
            s2 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w2 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s2);
            s3 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w3 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s3);
            s3 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w3 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s3);
            s4 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w4 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s4);
            s4 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w4 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s4);
            s5 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w5 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s5);
            s5 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w5 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s5);
            s6 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w6 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s6);
            s6 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w6 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s6);
            s7 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w7 + k, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, s7);
            s7 = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, w7 + k + COUNT, LE)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x1, s7);
        }
        s0.intoMemorySegment(ALL, scratch + 0L * COUNT, LE);
        s1.intoMemorySegment(ALL, scratch + 4L * COUNT, LE);
        s2.intoMemorySegment(ALL, scratch + 8L * COUNT, LE);
        s3.intoMemorySegment(ALL, scratch + 12L * COUNT, LE);
        s4.intoMemorySegment(ALL, scratch + 16L * COUNT, LE);
        s5.intoMemorySegment(ALL, scratch + 20L * COUNT, LE);
        s6.intoMemorySegment(ALL, scratch + 24L * COUNT, LE);
        s7.intoMemorySegment(ALL, scratch + 28L * COUNT, LE);
    }

    /** The tail of one row, its halving tree and its output. */
    private static void row(
            long row, int whole, int inputs, long x, long scratch, int o, long scales, long bias, long y) {
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, scratch, LE);
        for (int k = whole; k < inputs; k += COUNT) {
            var bytes = QUARTER.indexInRange(k, inputs);
            FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * k, LE, F.indexInRange(k, inputs));
            sum = ((FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, row + k, LE, bytes)
                            .convertShape(VectorOperators.B2F, F, 0))
                    .fma(x0, sum);
        }
        if (COUNT > 8) {
            sum = sum.add(sum.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            sum = sum.add(sum.rearrange(Lanes.FOLD4));
        }
        sum = sum.add(sum.rearrange(Lanes.FOLD2));
        sum = sum.add(sum.rearrange(Lanes.FOLD1));
        float scale = ALL.get(FLOAT, scales + 4L * o);
        float value = sum.lane(0);
        ALL.set(FLOAT, y + 4L * o, bias == 0 ? value * scale : Math.fma(value, scale, ALL.get(FLOAT, bias + 4L * o)));
    }
}
