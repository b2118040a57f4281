package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Root mean square normalisation of n elements: read twice (the second time from L1), written once. */
final class Norms {

    private Norms() {}

    static void rms(long x, long weight, long y, int n, float epsilon, float divisor) {
        double mean = (double) squares(x, n) / divisor;
        weighted(x, weight, (float) (1 / Math.sqrt(mean + epsilon)), y, n);
    }

    /** Sum of squares: four chains a lane, then a fixed tree. */
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

    /** y = x * factor * weight. */
    private static void weighted(long x, long weight, float factor, long y, int n) {
        FloatVector times = FloatVector.broadcast(F, factor);
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
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
}
