package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;

/** Sums over n elements: four chains a lane, then a fixed tree, then what does not fill a vector, without masks: blended by one, a tail allocated at 256 bits. */
final class Moments {

    private Moments() {}

    /** The sum of squares. */
    static float squares(long x, int n) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= n - 4 * COUNT; i += 4 * COUNT) {
            FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + COUNT), LE);
            FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 2 * COUNT), LE);
            FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 3 * COUNT), LE);
            s0 = x0.fma(x0, s0);
            s1 = x1.fma(x1, s1);
            s2 = x2.fma(x2, s2);
            s3 = x3.fma(x3, s3);
        }
        for (; i < n; i += COUNT) {
            FloatVector rest = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE, F.indexInRange(i, n));
            s0 = rest.fma(rest, s0);
        }
        FloatVector sum = s0.add(s1).add(s2.add(s3));
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

    static float mean(long x, int n) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= n - 4 * COUNT; i += 4 * COUNT) {
            s0 = s0.add(FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE));
            s1 = s1.add(FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + COUNT), LE));
            s2 = s2.add(FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 2 * COUNT), LE));
            s3 = s3.add(FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 3 * COUNT), LE));
        }
        for (; i <= n - COUNT; i += COUNT) {
            s0 = s0.add(FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE));
        }
        float rest = 0;
        for (; i < n; i++) {
            rest += ALL.get(FLOAT, x + 4L * i);
        }
        FloatVector sum = s0.add(s1).add(s2.add(s3));
        if (COUNT > 8) {
            sum = sum.add(sum.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            sum = sum.add(sum.rearrange(Lanes.FOLD4));
        }
        sum = sum.add(sum.rearrange(Lanes.FOLD2));
        sum = sum.add(sum.rearrange(Lanes.FOLD1));
        return (float) (((double) sum.lane(0) + rest) / n);
    }

    /** The mean of the squared distances from {@code mean}: the mean of squares less its square would cancel. */
    static float variance(long x, int n, float mean) {
        FloatVector centre = FloatVector.broadcast(F, mean);
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        int i = 0;
        for (; i <= n - 4 * COUNT; i += 4 * COUNT) {
            FloatVector x0 =
                    FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE).sub(centre);
            FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + COUNT), LE)
                    .sub(centre);
            FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 2 * COUNT), LE)
                    .sub(centre);
            FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 3 * COUNT), LE)
                    .sub(centre);
            s0 = x0.fma(x0, s0);
            s1 = x1.fma(x1, s1);
            s2 = x2.fma(x2, s2);
            s3 = x3.fma(x3, s3);
        }
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector x0 =
                    FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE).sub(centre);
            s0 = x0.fma(x0, s0);
        }
        float rest = 0;
        for (; i < n; i++) {
            float distance = ALL.get(FLOAT, x + 4L * i) - mean;
            rest = Math.fma(distance, distance, rest);
        }
        FloatVector sum = s0.add(s1).add(s2.add(s3));
        if (COUNT > 8) {
            sum = sum.add(sum.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            sum = sum.add(sum.rearrange(Lanes.FOLD4));
        }
        sum = sum.add(sum.rearrange(Lanes.FOLD2));
        sum = sum.add(sum.rearrange(Lanes.FOLD1));
        return (float) (((double) sum.lane(0) + rest) / n);
    }
}
