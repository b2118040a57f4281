package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * One query head over rows of a page of f32 keys or values {@code [64, headDim]}, for head sizes that have no straight-line code:
 * right for all, fast for none.
 */
final class AnyPages {

    private AnyPages() {}

    /** s[key] = q . k[key]. */
    static void scores(
            MemorySegment k, long kAt, int headDim, MemorySegment q, long qAt, MemorySegment s, long sAt, int count) {
        for (int key = 0; key < count; key++) {
            s.set(FLOAT, sAt + 4L * key, dot(k, kAt + 4L * headDim * key, q, qAt, headDim));
        }
    }

    private static float dot(MemorySegment a, long aAt, MemorySegment b, long bAt, int n) {
        FloatVector sum = FloatVector.zero(F);
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector left = FloatVector.fromMemorySegment(F, a, aAt + 4L * i, LE);
            sum = left.fma(FloatVector.fromMemorySegment(F, b, bAt + 4L * i, LE), sum);
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
            total = Math.fma(a.get(FLOAT, aAt + 4L * i), b.get(FLOAT, bAt + 4L * i), total);
        }
        return total;
    }

    /** y += sum of p[row] * v[row]. */
    static void weigh(
            MemorySegment v, long vAt, int headDim, MemorySegment p, long pAt, MemorySegment y, long yAt, int count) {
        int whole = F.loopBound(headDim);
        for (int d = 0; d < whole; d += COUNT) {
            weighVector(v, vAt + 4L * d, headDim, p, pAt, y, yAt + 4L * d, count);
        }
        if (whole < headDim) {
            weighTail(v, vAt + 4L * whole, headDim, p, pAt, y, yAt + 4L * whole, count, headDim - whole);
        }
    }

    private static void weighVector(
            MemorySegment v, long vAt, int headDim, MemorySegment p, long pAt, MemorySegment y, long yAt, int count) {
        FloatVector sum = FloatVector.fromMemorySegment(F, y, yAt, LE);
        for (int row = 0; row < count; row++) {
            FloatVector value = FloatVector.fromMemorySegment(F, v, vAt + 4L * headDim * row, LE);
            sum = value.fma(FloatVector.broadcast(F, p.get(FLOAT, pAt + 4L * row)), sum);
        }
        sum.intoMemorySegment(y, yAt, LE);
    }

    /** A part of a vector: not with masks, which are not compiled to instructions at every width. */
    private static void weighTail(
            MemorySegment v,
            long vAt,
            int headDim,
            MemorySegment p,
            long pAt,
            MemorySegment y,
            long yAt,
            int count,
            int width) {
        for (int d = 0; d < width; d++) {
            float sum = y.get(FLOAT, yAt + 4L * d);
            for (int row = 0; row < count; row++) {
                sum = Math.fma(v.get(FLOAT, vAt + 4L * ((long) headDim * row + d)), p.get(FLOAT, pAt + 4L * row), sum);
            }
            y.set(FLOAT, yAt + 4L * d, sum);
        }
    }
}
