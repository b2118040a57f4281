package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The nonlinearities of feed-forward layers, of a multiple of {@link Lanes#COUNT} elements. Traffic: each side once. */
final class Activations {

    private static final float ROOT_TWO_OVER_PI = 0.7978845608028654f;

    /** Beyond these a power of 2 has no exponent of its own. */
    private static final float LEAST_POWER = -87.3f;

    private static final float GREATEST_POWER = 88.3f;

    private static final float[] TERMS = Exponential.TERMS;

    /**
     * Numerator and denominator of erf, by the rational approximation of Eigen's generic_fast_erf; beyond what it is 1; the root of
     * one half; one half. In memory as those of {@link Exponential}.
     */
    private static final float[] ERF_TERMS = {
        -2.72614225801306e-10f,
        2.77068142495902e-08f,
        -2.10102402082508e-06f,
        -5.69250639462346e-05f,
        -7.34990630326855e-04f,
        -2.95459980854025e-03f,
        -1.60960333262415e-02f,
        -1.45660718464996e-05f,
        -2.13374055278905e-04f,
        -1.68282697438203e-03f,
        -7.37332916720468e-03f,
        -1.42647390514189e-02f,
        4f,
        0.7071067811865476f,
        0.5f,
    };

    /** Elements that stay in L1 between two loops. */
    private static final int PIECE = 512;

    private Activations() {}

    /** y = x / (1 + exp(-x)). */
    static void silu(long x, long y, int n) {
        overOnePlusExp(x, -1, x, y, n);
    }

    /** y = x/2 * (1 + tanh u) = x / (1 + exp(-2 u)), u = sqrt(2/pi) * (x + 0.044715 x^3). */
    static void geluTanh(long x, long y, int n) {
        for (int from = 0; from < n; from += PIECE) {
            long at = 4L * from;
            int count = Math.min(PIECE, n - from);
            inner(x + at, y + at, count);
            overOnePlusExp(x + at, -2 * ROOT_TWO_OVER_PI, y + at, y + at, count);
        }
    }

    /** y = x + 0.044715 x^3. */
    private static void inner(long x, long y, int n) {
        FloatVector factor = FloatVector.broadcast(F, 0.044715f);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector cube = value.mul(value).mul(value);
            cube.fma(factor, value).intoMemorySegment(ALL, y + 4L * i, LE);
        }
    }

    /**
     * y = x / (1 + exp(factor * t)); y may be t. As {@link Exponential}, but 0 and infinity begin where the exponent's bits end: the
     * quotient is less than 1e-36 there, or x.
     */
    private static void overOnePlusExp(long x, float factor, long t, long y, int n) {
        FloatVector times = FloatVector.broadcast(F, factor);
        FloatVector log2 = FloatVector.broadcast(F, TERMS[0]);
        FloatVector high = FloatVector.broadcast(F, TERMS[1]);
        FloatVector low = FloatVector.broadcast(F, TERMS[2]);
        FloatVector c0 = FloatVector.broadcast(F, TERMS[3]);
        FloatVector c1 = FloatVector.broadcast(F, TERMS[4]);
        FloatVector c2 = FloatVector.broadcast(F, TERMS[5]);
        FloatVector c3 = FloatVector.broadcast(F, TERMS[6]);
        FloatVector c4 = FloatVector.broadcast(F, TERMS[7]);
        FloatVector c5 = FloatVector.broadcast(F, TERMS[8]);
        FloatVector round = FloatVector.broadcast(F, TERMS[11]);
        FloatVector one = FloatVector.broadcast(F, TERMS[9]);
        FloatVector zero = FloatVector.zero(F);
        FloatVector infinity = FloatVector.broadcast(F, Float.POSITIVE_INFINITY);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector power =
                    FloatVector.fromMemorySegment(F, ALL, t + 4L * i, LE).mul(times);
            FloatVector rounded = power.fma(log2, round);
            FloatVector whole = rounded.sub(round);
            FloatVector rest = whole.fma(low, whole.fma(high, power));
            FloatVector square = rest.mul(rest);
            FloatVector sum = c5.fma(rest, c4).fma(square, c3.fma(rest, c2)).fma(square, c1.fma(rest, c0));
            sum = sum.fma(square, rest).add(one);
            FloatVector scale = rounded.reinterpretAsInts()
                    .lanewise(VectorOperators.LSHL, 23)
                    .reinterpretAsFloats();
            FloatVector e = sum.mul(scale);
            e = e.blend(zero, power.compare(VectorOperators.LT, LEAST_POWER));
            e = e.blend(infinity, power.compare(VectorOperators.GT, GREATEST_POWER));
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            value.div(e.add(one)).intoMemorySegment(ALL, y + 4L * i, LE);
        }
    }

    /** y = max(x, 0). */
    static void relu(long x, long y, int n) {
        FloatVector zero = FloatVector.zero(F);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            value.blend(zero, value.compare(VectorOperators.LE, 0f)).intoMemorySegment(ALL, y + 4L * i, LE);
        }
    }

    /** y = x/2 * (1 + erf(x / sqrt 2)); erf by the rational approximation of Eigen's generic_fast_erf, 2e-7 at most. */
    static void gelu(long x, long y, int n) {
        FloatVector a0 = FloatVector.broadcast(F, ERF_TERMS[0]);
        FloatVector a1 = FloatVector.broadcast(F, ERF_TERMS[1]);
        FloatVector a2 = FloatVector.broadcast(F, ERF_TERMS[2]);
        FloatVector a3 = FloatVector.broadcast(F, ERF_TERMS[3]);
        FloatVector a4 = FloatVector.broadcast(F, ERF_TERMS[4]);
        FloatVector a5 = FloatVector.broadcast(F, ERF_TERMS[5]);
        FloatVector a6 = FloatVector.broadcast(F, ERF_TERMS[6]);
        FloatVector b0 = FloatVector.broadcast(F, ERF_TERMS[7]);
        FloatVector b1 = FloatVector.broadcast(F, ERF_TERMS[8]);
        FloatVector b2 = FloatVector.broadcast(F, ERF_TERMS[9]);
        FloatVector b3 = FloatVector.broadcast(F, ERF_TERMS[10]);
        FloatVector b4 = FloatVector.broadcast(F, ERF_TERMS[11]);
        FloatVector limit = FloatVector.broadcast(F, ERF_TERMS[12]);
        FloatVector least = limit.neg();
        FloatVector rootHalf = FloatVector.broadcast(F, ERF_TERMS[13]);
        FloatVector oneHalf = FloatVector.broadcast(F, ERF_TERMS[14]);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector scaled = value.mul(rootHalf);
            // Beyond 4 erf is 1 in f32. NaN stays: it compares with nothing.
            scaled = scaled.blend(limit, scaled.compare(VectorOperators.GT, limit));
            scaled = scaled.blend(least, scaled.compare(VectorOperators.LT, least));
            FloatVector square = scaled.mul(scaled);
            FloatVector above = a0.fma(square, a1);
            above = above.fma(square, a2);
            above = above.fma(square, a3);
            above = above.fma(square, a4);
            above = above.fma(square, a5);
            above = above.fma(square, a6);
            FloatVector below = b0.fma(square, b1);
            below = below.fma(square, b2);
            below = below.fma(square, b3);
            below = below.fma(square, b4);
            FloatVector erf = above.mul(scaled).div(below);
            FloatVector half = value.mul(oneHalf);
            half.fma(erf, half).intoMemorySegment(ALL, y + 4L * i, LE);
        }
    }
}
