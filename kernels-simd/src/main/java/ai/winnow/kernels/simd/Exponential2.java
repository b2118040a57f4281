package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Powers of two that are at most one, as a softmax has them: cheaper than {@link Exponential}, which must reach all numbers. A
 * polynomial of degree 6 (minimax, within 1.4 roundings) for the fraction, and the whole part straight into the exponent.
 */
final class Exponential2 {

    /** The factor that makes {@code exp(x)} of {@code 2^x}. */
    static final float LOG2_E = 1.44269504088896341f;

    /** Adding this rounds to an integer, which then stands in the lowest bits, with the exponent's bias. */
    private static final float ROUND = 0x1.8p23f + 127;

    /** Below, the result is 0: there are no powers of two without an exponent of their own here. */
    private static final float LOWEST = -126;

    private Exponential2() {}

    /** x = 2^(x - less), of {@code n} floats, a multiple of the lanes; {@code less} is one vector. NaN stays NaN. */
    static void of(long x, int n, long less) {
        FloatVector shift = FloatVector.fromMemorySegment(F, ALL, less, LE);
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector lowest = FloatVector.broadcast(F, LOWEST);
        FloatVector zero = FloatVector.zero(F);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector value =
                    FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE).sub(shift);
            FloatVector rounded = value.add(round);
            FloatVector rest = value.sub(rounded.sub(round));
            FloatVector sum = FloatVector.broadcast(F, 1.5345811e-4f);
            sum = sum.fma(rest, FloatVector.broadcast(F, 1.3399931e-3f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 9.618489e-3f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 5.5503286e-2f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 2.4022646e-1f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 6.931472e-1f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 1f));
            // A product, not a sum of exponents: that would make a number of some NaN.
            FloatVector power = rounded.reinterpretAsInts()
                    .lanewise(VectorOperators.LSHL, 23)
                    .reinterpretAsFloats();
            FloatVector result = sum.mul(power).blend(zero, value.compare(VectorOperators.LT, lowest));
            result.intoMemorySegment(ALL, x + 4L * i, LE);
        }
    }

    /** The same of rows that lie {@code pitch} apart, each with one number in {@code less}. */
    static void ofRows(long x, long pitch, int rows, int n, long less) {
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector lowest = FloatVector.broadcast(F, LOWEST);
        FloatVector zero = FloatVector.zero(F);
        for (int row = 0; row < rows; row++) {
            FloatVector shift = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, less + 4L * row));
            long end = x + pitch * row + 4L * n;
            for (long at = end - 4L * n; at != end; at += 4L * COUNT) {
                FloatVector value =
                        FloatVector.fromMemorySegment(F, ALL, at, LE).sub(shift);
                FloatVector rounded = value.add(round);
                FloatVector rest = value.sub(rounded.sub(round));
                FloatVector sum = FloatVector.broadcast(F, 1.5345811e-4f);
                sum = sum.fma(rest, FloatVector.broadcast(F, 1.3399931e-3f));
                sum = sum.fma(rest, FloatVector.broadcast(F, 9.618489e-3f));
                sum = sum.fma(rest, FloatVector.broadcast(F, 5.5503286e-2f));
                sum = sum.fma(rest, FloatVector.broadcast(F, 2.4022646e-1f));
                sum = sum.fma(rest, FloatVector.broadcast(F, 6.931472e-1f));
                sum = sum.fma(rest, FloatVector.broadcast(F, 1f));
                // A product, not a sum of exponents: that would make a number of some NaN.
                FloatVector power = rounded.reinterpretAsInts()
                        .lanewise(VectorOperators.LSHL, 23)
                        .reinterpretAsFloats();
                FloatVector result = sum.mul(power).blend(zero, value.compare(VectorOperators.LT, lowest));
                result.intoMemorySegment(ALL, at, LE);
            }
        }
    }
}
