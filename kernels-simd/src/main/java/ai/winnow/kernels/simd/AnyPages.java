package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;

/**
 * One query head over rows of a page of f32 keys or values {@code [64, headDim]}, for head sizes that have no straight-line code:
 * right for all, fast for none.
 */
final class AnyPages {

    private AnyPages() {}

    /** s[key] = q . k[key]. */
    static void scores(long k, int headDim, long q, long s, int count) {
        for (int key = 0; key < count; key++) {
            ALL.set(FLOAT, s + 4L * key, dot(k + 4L * headDim * key, q, headDim));
        }
    }

    private static float dot(long a, long b, int n) {
        FloatVector sum = FloatVector.zero(F);
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector left = FloatVector.fromMemorySegment(F, ALL, a + 4L * i, LE);
            sum = left.fma(FloatVector.fromMemorySegment(F, ALL, b + 4L * i, LE), sum);
        }
        if (COUNT > 8) {
            sum = sum.add(sum.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            sum = sum.add(sum.rearrange(Lanes.FOLD4));
        }
        sum = sum.add(sum.rearrange(Lanes.FOLD2));
        sum = sum.add(sum.rearrange(Lanes.FOLD1));
        float total = sum.lane(0);
        for (int i = whole; i < n; i++) {
            total = Math.fma(ALL.get(FLOAT, a + 4L * i), ALL.get(FLOAT, b + 4L * i), total);
        }
        return total;
    }

    /** y += sum of p[row] * v[row]. */
    static void weigh(long v, int headDim, long p, long y, int count) {
        int whole = F.loopBound(headDim);
        for (int d = 0; d < whole; d += COUNT) {
            weighVector(v + 4L * d, headDim, p, y + 4L * d, count);
        }
        if (whole < headDim) {
            weighTail(v + 4L * whole, headDim, p, y + 4L * whole, count, headDim - whole);
        }
    }

    private static void weighVector(long v, int headDim, long p, long y, int count) {
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, y, LE);
        for (int row = 0; row < count; row++) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, v + 4L * headDim * row, LE);
            sum = value.fma(FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row)), sum);
        }
        sum.intoMemorySegment(ALL, y, LE);
    }

    /** A part of a vector: not with masks, which are not compiled to instructions at every width. */
    private static void weighTail(long v, int headDim, long p, long y, int count, int width) {
        for (int d = 0; d < width; d++) {
            float sum = ALL.get(FLOAT, y + 4L * d);
            for (int row = 0; row < count; row++) {
                sum = Math.fma(ALL.get(FLOAT, v + 4L * ((long) headDim * row + d)), ALL.get(FLOAT, p + 4L * row), sum);
            }
            ALL.set(FLOAT, y + 4L * d, sum);
        }
    }
}
