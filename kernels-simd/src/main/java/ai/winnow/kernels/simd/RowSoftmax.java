package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Softmax of n scores that are all there: the greatest, the weights, their sum, the quotients. x is read twice and y written and read
 * again, all but the first from the caches next to the processor.
 */
final class RowSoftmax {

    /** A vector for the elements behind the last whole one. */
    static final long SCRATCH_BYTES = 4L * COUNT;

    private RowSoftmax() {}

    static void run(long x, long y, int n, long scratch) {
        int whole = F.loopBound(n);
        float greatest = max(x, whole);
        for (int i = whole; i < n; i++) {
            float score = ALL.get(FLOAT, x + 4L * i);
            greatest = score > greatest ? score : greatest;
        }
        float shift = greatest == Float.NEGATIVE_INFINITY ? 0 : -greatest;
        Exponential.of(x, 1f, shift, y, whole);
        float sum = sum(y, whole);
        if (whole < n) {
            for (int i = 0; i < COUNT; i++) {
                boolean there = whole + i < n;
                float score = there ? ALL.get(FLOAT, x + 4L * (whole + i)) : Float.NEGATIVE_INFINITY;
                ALL.set(FLOAT, scratch + 4L * i, score);
            }
            Exponential.of(scratch, 1f, shift, scratch, COUNT);
            for (int i = whole; i < n; i++) {
                float weight = ALL.get(FLOAT, scratch + 4L * (i - whole));
                ALL.set(FLOAT, y + 4L * i, weight);
                sum += weight;
            }
        }
        // The greatest score counts 1: a lesser sum is that of negative infinities, 0.
        Elementwise.scale(y, 1 / Math.max(sum, 1), y, n);
    }

    /** NaN is passed over: its weight will be NaN, and the sum. Of no elements, negative infinity. */
    private static float max(long x, int n) {
        FloatVector m0 = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
        FloatVector m1 = m0;
        FloatVector m2 = m0;
        FloatVector m3 = m0;
        int i = 0;
        for (; i <= n - 4 * COUNT; i += 4 * COUNT) {
            FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + COUNT), LE);
            FloatVector x2 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 2 * COUNT), LE);
            FloatVector x3 = FloatVector.fromMemorySegment(F, ALL, x + 4L * (i + 3 * COUNT), LE);
            m0 = m0.blend(x0, x0.compare(VectorOperators.GT, m0));
            m1 = m1.blend(x1, x1.compare(VectorOperators.GT, m1));
            m2 = m2.blend(x2, x2.compare(VectorOperators.GT, m2));
            m3 = m3.blend(x3, x3.compare(VectorOperators.GT, m3));
        }
        for (; i < n; i += COUNT) {
            FloatVector rest = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            m0 = m0.blend(rest, rest.compare(VectorOperators.GT, m0));
        }
        FloatVector max = m0.max(m1).max(m2.max(m3));
        if (COUNT > 8) {
            max = max.max(max.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            max = max.max(max.rearrange(Lanes.FOLD4));
        }
        max = max.max(max.rearrange(Lanes.FOLD2));
        max = max.max(max.rearrange(Lanes.FOLD1));
        return max.lane(0);
    }

    private static float sum(long x, int n) {
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
        for (; i < n; i += COUNT) {
            s0 = s0.add(FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE));
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
}
