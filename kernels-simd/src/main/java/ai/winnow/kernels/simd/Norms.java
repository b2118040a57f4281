package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * The last step of normalisations, on one row of n elements or on {@link #ROWS} that follow one another: x comes from the caches and y
 * goes to memory. While stores wait there, what L1 lacks waits too; so several rows share each piece of the weight.
 */
final class Norms {

    /** Rows that are taken together. */
    static final int ROWS = 4;

    private Norms() {}

    /** y = x / sqrt(sum(x^2) / divisor + epsilon) * weight, {@code rows} times. */
    static void rms(long x, long weight, long y, int rows, int n, float epsilon, float divisor) {
        if (rows == ROWS) {
            float f0 = rmsFactor(x, n, epsilon, divisor);
            float f1 = rmsFactor(x + 4L * n, n, epsilon, divisor);
            float f2 = rmsFactor(x + 8L * n, n, epsilon, divisor);
            float f3 = rmsFactor(x + 12L * n, n, epsilon, divisor);
            weightedRows(x, f0, f1, f2, f3, weight, y, n);
        } else {
            for (int row = 0; row < rows; row++) {
                long rowAt = 4L * row * n;
                weighted(x + rowAt, rmsFactor(x + rowAt, n, epsilon, divisor), weight, y + rowAt, 0, n);
            }
        }
    }

    private static float rmsFactor(long x, int n, float epsilon, float divisor) {
        double mean = (double) Moments.squares(x, n) / divisor;
        return (float) (1 / Math.sqrt(mean + epsilon));
    }

    /** y = x * factor * weight, from element {@code from} on. */
    private static void weighted(long x, float factor, long weight, long y, int from, int n) {
        FloatVector times = FloatVector.broadcast(F, factor);
        int whole = F.loopBound(n);
        for (int i = from; i < whole; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector w = FloatVector.fromMemorySegment(F, ALL, weight + 4L * i, LE);
            value.mul(times).mul(w).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        if (whole < n) {
            VectorMask<Float> mask = F.indexInRange(whole, n);
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * whole, LE, mask);
            FloatVector w = FloatVector.fromMemorySegment(F, ALL, weight + 4L * whole, LE, mask);
            value.mul(times).mul(w).intoMemorySegment(ALL, y + 4L * whole, LE, mask);
        }
    }

    private static void weightedRows(long x, float f0, float f1, float f2, float f3, long weight, long y, int n) {
        FloatVector times0 = FloatVector.broadcast(F, f0);
        FloatVector times1 = FloatVector.broadcast(F, f1);
        FloatVector times2 = FloatVector.broadcast(F, f2);
        FloatVector times3 = FloatVector.broadcast(F, f3);
        long at1 = 4L * n;
        long at2 = 8L * n;
        long at3 = 12L * n;
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector w = FloatVector.fromMemorySegment(F, ALL, weight + 4L * i, LE);
            FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, x + at1 + 4L * i, LE);
            FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, x + at2 + 4L * i, LE);
            FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, x + at3 + 4L * i, LE);
            x0.mul(times0).mul(w).intoMemorySegment(ALL, y + 4L * i, LE);
            x1.mul(times1).mul(w).intoMemorySegment(ALL, y + at1 + 4L * i, LE);
            x2.mul(times2).mul(w).intoMemorySegment(ALL, y + at2 + 4L * i, LE);
            x3.mul(times3).mul(w).intoMemorySegment(ALL, y + at3 + 4L * i, LE);
        }
        if (whole < n) {
            weighted(x, f0, weight, y, whole, n);
            weighted(x + at1, f1, weight, y + at1, whole, n);
            weighted(x + at2, f2, weight, y + at2, whole, n);
            weighted(x + at3, f3, weight, y + at3, whole, n);
        }
    }

    /** y = (x - mean) / sqrt(variance + epsilon) * weight + bias, {@code rows} times. */
    static void layer(long x, long weight, long bias, long y, int rows, int n, float epsilon) {
        if (rows == ROWS) {
            long at1 = 4L * n;
            long at2 = 8L * n;
            long at3 = 12L * n;
            float m0 = Moments.mean(x, n);
            float m1 = Moments.mean(x + at1, n);
            float m2 = Moments.mean(x + at2, n);
            float m3 = Moments.mean(x + at3, n);
            float f0 = layerFactor(x, n, m0, epsilon);
            float f1 = layerFactor(x + at1, n, m1, epsilon);
            float f2 = layerFactor(x + at2, n, m2, epsilon);
            float f3 = layerFactor(x + at3, n, m3, epsilon);
            standardisedRows(x, m0, f0, m1, f1, m2, f2, m3, f3, weight, bias, y, n);
        } else {
            for (int row = 0; row < rows; row++) {
                long rowAt = 4L * row * n;
                float mean = Moments.mean(x + rowAt, n);
                float factor = layerFactor(x + rowAt, n, mean, epsilon);
                standardised(x + rowAt, mean, factor, weight, bias, y + rowAt, 0, n);
            }
        }
    }

    private static float layerFactor(long x, int n, float mean, float epsilon) {
        return (float) (1 / Math.sqrt((double) Moments.variance(x, n, mean) + epsilon));
    }

    /** y = (x - mean) * factor * weight + bias, from element {@code from} on. */
    private static void standardised(
            long x, float mean, float factor, long weight, long bias, long y, int from, int n) {
        FloatVector centre = FloatVector.broadcast(F, mean);
        FloatVector times = FloatVector.broadcast(F, factor);
        int whole = F.loopBound(n);
        for (int i = from; i < whole; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector w = FloatVector.fromMemorySegment(F, ALL, weight + 4L * i, LE);
            FloatVector b = FloatVector.fromMemorySegment(F, ALL, bias + 4L * i, LE);
            value.sub(centre).mul(times).fma(w, b).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        if (whole < n) {
            VectorMask<Float> mask = F.indexInRange(whole, n);
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * whole, LE, mask);
            FloatVector w = FloatVector.fromMemorySegment(F, ALL, weight + 4L * whole, LE, mask);
            FloatVector b = FloatVector.fromMemorySegment(F, ALL, bias + 4L * whole, LE, mask);
            value.sub(centre).mul(times).fma(w, b).intoMemorySegment(ALL, y + 4L * whole, LE, mask);
        }
    }

    private static void standardisedRows(
            long x,
            float m0,
            float f0,
            float m1,
            float f1,
            float m2,
            float f2,
            float m3,
            float f3,
            long weight,
            long bias,
            long y,
            int n) {
        FloatVector centre0 = FloatVector.broadcast(F, m0);
        FloatVector centre1 = FloatVector.broadcast(F, m1);
        FloatVector centre2 = FloatVector.broadcast(F, m2);
        FloatVector centre3 = FloatVector.broadcast(F, m3);
        FloatVector times0 = FloatVector.broadcast(F, f0);
        FloatVector times1 = FloatVector.broadcast(F, f1);
        FloatVector times2 = FloatVector.broadcast(F, f2);
        FloatVector times3 = FloatVector.broadcast(F, f3);
        long at1 = 4L * n;
        long at2 = 8L * n;
        long at3 = 12L * n;
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector w = FloatVector.fromMemorySegment(F, ALL, weight + 4L * i, LE);
            FloatVector b = FloatVector.fromMemorySegment(F, ALL, bias + 4L * i, LE);
            FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, x + at1 + 4L * i, LE);
            FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, x + at2 + 4L * i, LE);
            FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, x + at3 + 4L * i, LE);
            x0 = x0.sub(centre0).mul(times0).fma(w, b);
            x1 = x1.sub(centre1).mul(times1).fma(w, b);
            x2 = x2.sub(centre2).mul(times2).fma(w, b);
            x3 = x3.sub(centre3).mul(times3).fma(w, b);
            x0.intoMemorySegment(ALL, y + 4L * i, LE);
            x1.intoMemorySegment(ALL, y + at1 + 4L * i, LE);
            x2.intoMemorySegment(ALL, y + at2 + 4L * i, LE);
            x3.intoMemorySegment(ALL, y + at3 + 4L * i, LE);
        }
        if (whole < n) {
            standardised(x, m0, f0, weight, bias, y, whole, n);
            standardised(x + at1, m1, f1, weight, bias, y + at1, whole, n);
            standardised(x + at2, m2, f2, weight, bias, y + at2, whole, n);
            standardised(x + at3, m3, f3, weight, bias, y + at3, whole, n);
        }
    }
}
