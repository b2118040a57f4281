package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * y = exp(factor * x + shift), 1.5 ulps from the true number at most, by our own polynomial (Cephes, expf): plain arithmetic has the
 * same bits interpreted and compiled, which the JDK does not promise of its lane-wise EXP.
 */
final class Exponential {

    /** Beyond these the result is 0 or infinite. */
    private static final float LOWEST = -104f;

    private static final float HIGHEST = 88.8f;

    /**
     * 1 / ln 2; ln 2 in two parts, negative; C0 to C5: exp(r) = 1 + r + r^2 (C0 + C1 r + ...) between -ln(2)/2 and ln(2)/2; 1; what
     * rounds to an integer when it is added, and puts it in the lowest bits, greater by 254 or 127: by twice the bias of an exponent
     * or once. In memory, for C2 makes vectors of constants anew in each step of a loop.
     */
    static final float[] TERMS = {
        1.44269504088896341f,
        -0.693359375f,
        2.12194440e-4f,
        5.0000001201e-1f,
        1.6666665459e-1f,
        4.1665795894e-2f,
        8.3334519073e-3f,
        1.3981999507e-3f,
        1.9875691500e-4f,
        1f,
        0x1.8p23f + 254,
        0x1.8p23f + 127,
    };

    private Exponential() {}

    /** {@code y} may be {@code x}; both have room for whole vectors, what lies behind n becomes undefined. */
    static void of(long x, float factor, float shift, long y, int n) {
        FloatVector times = FloatVector.broadcast(F, factor);
        FloatVector plus = FloatVector.broadcast(F, shift);
        FloatVector log2 = FloatVector.broadcast(F, TERMS[0]);
        FloatVector high = FloatVector.broadcast(F, TERMS[1]);
        FloatVector low = FloatVector.broadcast(F, TERMS[2]);
        FloatVector c0 = FloatVector.broadcast(F, TERMS[3]);
        FloatVector c1 = FloatVector.broadcast(F, TERMS[4]);
        FloatVector c2 = FloatVector.broadcast(F, TERMS[5]);
        FloatVector c3 = FloatVector.broadcast(F, TERMS[6]);
        FloatVector c4 = FloatVector.broadcast(F, TERMS[7]);
        FloatVector c5 = FloatVector.broadcast(F, TERMS[8]);
        FloatVector round = FloatVector.broadcast(F, TERMS[10]);
        FloatVector zero = FloatVector.zero(F);
        FloatVector infinity = FloatVector.broadcast(F, Float.POSITIVE_INFINITY);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector value =
                    FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE).fma(times, plus);
            FloatVector rounded = value.fma(log2, round);
            FloatVector power = rounded.sub(round);
            FloatVector rest = power.fma(low, power.fma(high, value));
            FloatVector square = rest.mul(rest);
            // In pairs: shorter than one term after the other.
            FloatVector sum = c5.fma(rest, c4).fma(square, c3.fma(rest, c2)).fma(square, c1.fma(rest, c0));
            sum = sum.fma(square, rest).add(FloatVector.broadcast(F, TERMS[9]));
            // Two factors of half the power each: the smallest results have no exponent of their own.
            IntVector whole = rounded.reinterpretAsInts();
            IntVector half = whole.lanewise(VectorOperators.LSHR, 1);
            FloatVector first = half.lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
            FloatVector second =
                    whole.sub(half).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
            FloatVector result = sum.mul(first).mul(second);
            result = result.blend(zero, value.compare(VectorOperators.LT, LOWEST));
            result = result.blend(infinity, value.compare(VectorOperators.GT, HIGHEST));
            result.intoMemorySegment(ALL, y + 4L * i, LE);
        }
    }
}
