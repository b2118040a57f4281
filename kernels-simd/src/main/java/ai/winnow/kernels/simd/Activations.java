package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** The nonlinearities of feed-forward layers, on pieces of at most {@link #PIECE} elements that stay in L1 between the loops. */
final class Activations {

    /** Elements of a piece; a part's scratch holds one. */
    static final int PIECE = 512;

    private static final float ROOT_TWO_OVER_PI = 0.7978845608028654f;
    private static final float ROOT_HALF = 0.7071067811865476f;

    private Activations() {}

    /** y = x / (1 + exp(-x)). */
    static void silu(long x, long y, int n, long scratch) {
        copy(x, scratch, n);
        Exponential.of(scratch, -1f, 0f, scratch, n);
        overOnePlus(x, scratch, y, n);
    }

    /** y = x/2 * (1 + tanh u) = x / (1 + exp(-2 u)), u = sqrt(2/pi) * (x + 0.044715 x^3). */
    static void geluTanh(long x, long y, int n, long scratch) {
        inner(x, scratch, n);
        Exponential.of(scratch, -2 * ROOT_TWO_OVER_PI, 0f, scratch, n);
        overOnePlus(x, scratch, y, n);
    }

    private static void copy(long x, long y, int n) {
        for (int i = 0; i < n; i += COUNT) {
            VectorMask<Float> mask = F.indexInRange(i, n);
            FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE, mask).intoMemorySegment(ALL, y + 4L * i, LE);
        }
    }

    /** y = x + 0.044715 x^3. */
    private static void inner(long x, long y, int n) {
        for (int i = 0; i < n; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE, F.indexInRange(i, n));
            FloatVector cube = value.mul(value).mul(value);
            cube.fma(FloatVector.broadcast(F, 0.044715f), value).intoMemorySegment(ALL, y + 4L * i, LE);
        }
    }

    /** y = x / (1 + e). Where e is infinite, 0. */
    private static void overOnePlus(long x, long e, long y, int n) {
        for (int i = 0; i < n; i += COUNT) {
            VectorMask<Float> mask = F.indexInRange(i, n);
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE, mask);
            FloatVector below =
                    FloatVector.fromMemorySegment(F, ALL, e + 4L * i, LE).add(1f);
            value.div(below).intoMemorySegment(ALL, y + 4L * i, LE, mask);
        }
    }

    /** y = max(x, 0). */
    static void relu(long x, long y, int n) {
        FloatVector zero = FloatVector.zero(F);
        for (int i = 0; i < n; i += COUNT) {
            VectorMask<Float> mask = F.indexInRange(i, n);
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE, mask);
            value.blend(zero, value.compare(VectorOperators.LE, 0f)).intoMemorySegment(ALL, y + 4L * i, LE, mask);
        }
    }

    /** y = x/2 * (1 + erf(x / sqrt 2)); erf by the rational approximation of Eigen's generic_fast_erf, 2e-7 at most. */
    static void gelu(long x, long y, int n) {
        for (int i = 0; i < n; i += COUNT) {
            VectorMask<Float> mask = F.indexInRange(i, n);
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE, mask);
            FloatVector scaled = value.mul(ROOT_HALF);
            // Beyond 4 erf is 1 in f32. NaN stays: it compares with nothing.
            scaled = scaled.blend(FloatVector.broadcast(F, 4f), scaled.compare(VectorOperators.GT, 4f));
            scaled = scaled.blend(FloatVector.broadcast(F, -4f), scaled.compare(VectorOperators.LT, -4f));
            FloatVector square = scaled.mul(scaled);
            FloatVector above = FloatVector.broadcast(F, -2.72614225801306e-10f);
            above = above.fma(square, FloatVector.broadcast(F, 2.77068142495902e-08f));
            above = above.fma(square, FloatVector.broadcast(F, -2.10102402082508e-06f));
            above = above.fma(square, FloatVector.broadcast(F, -5.69250639462346e-05f));
            above = above.fma(square, FloatVector.broadcast(F, -7.34990630326855e-04f));
            above = above.fma(square, FloatVector.broadcast(F, -2.95459980854025e-03f));
            above = above.fma(square, FloatVector.broadcast(F, -1.60960333262415e-02f));
            FloatVector below = FloatVector.broadcast(F, -1.45660718464996e-05f);
            below = below.fma(square, FloatVector.broadcast(F, -2.13374055278905e-04f));
            below = below.fma(square, FloatVector.broadcast(F, -1.68282697438203e-03f));
            below = below.fma(square, FloatVector.broadcast(F, -7.37332916720468e-03f));
            below = below.fma(square, FloatVector.broadcast(F, -1.42647390514189e-02f));
            FloatVector erf = above.mul(scaled).div(below);
            FloatVector half = value.mul(0.5f);
            half.fma(erf, half).intoMemorySegment(ALL, y + 4L * i, LE, mask);
        }
    }
}
