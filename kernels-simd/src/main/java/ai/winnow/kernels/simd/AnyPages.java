package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * Query heads over rows of a page of f32 keys or values {@code [64, headDim]}, for head sizes that are not whole vectors: right for all,
 * fast for none. Queries and sums are rows that lie {@code pitch} apart. Nothing is read ahead: 0 is returned where others return what they read.
 */
final class AnyPages {

    private AnyPages() {}

    /** s[key][head] = q[head] . k[key]. */
    static int scores(
            MemorySegment k,
            long kAt,
            int headDim,
            MemorySegment q,
            long qAt,
            long pitch,
            int heads,
            MemorySegment s,
            long sAt,
            int count) {
        for (int key = 0; key < count; key++) {
            for (int head = 0; head < heads; head++) {
                float score = dot(k, kAt + 4L * headDim * key, q, qAt + head * pitch, headDim);
                s.set(FLOAT, sAt + 4L * ((long) key * heads + head), score);
            }
        }
        return 0;
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

    /** y[head] = factor[head] * y[head] + sum of p[row][head] * v[row]. */
    static int weigh(
            MemorySegment v,
            long vAt,
            int headDim,
            MemorySegment p,
            long pAt,
            long factorsAt,
            int heads,
            MemorySegment y,
            long yAt,
            long pitch,
            int count) {
        int whole = F.loopBound(headDim);
        for (int head = 0; head < heads; head++) {
            long to = yAt + head * pitch;
            Elementwise.scale(y, to, p.get(FLOAT, factorsAt + 4L * head), y, to, headDim);
            long weights = pAt + 4L * head;
            for (int d = 0; d < whole; d += COUNT) {
                weighVector(v, vAt + 4L * d, headDim, p, weights, heads, y, to + 4L * d, count);
            }
            if (whole < headDim) {
                int rest = headDim - whole;
                weighTail(v, vAt + 4L * whole, headDim, p, weights, heads, y, to + 4L * whole, count, rest);
            }
        }
        return 0;
    }

    private static void weighVector(
            MemorySegment v,
            long vAt,
            int headDim,
            MemorySegment p,
            long pAt,
            int heads,
            MemorySegment y,
            long yAt,
            int count) {
        FloatVector sum = FloatVector.fromMemorySegment(F, y, yAt, LE);
        for (int row = 0; row < count; row++) {
            FloatVector value = FloatVector.fromMemorySegment(F, v, vAt + 4L * headDim * row, LE);
            sum = value.fma(FloatVector.broadcast(F, p.get(FLOAT, pAt + 4L * heads * row)), sum);
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
            int heads,
            MemorySegment y,
            long yAt,
            int count,
            int width) {
        for (int d = 0; d < width; d++) {
            float sum = y.get(FLOAT, yAt + 4L * d);
            for (int row = 0; row < count; row++) {
                float value = v.get(FLOAT, vAt + 4L * ((long) headDim * row + d));
                sum = Math.fma(value, p.get(FLOAT, pAt + 4L * heads * row), sum);
            }
            y.set(FLOAT, yAt + 4L * d, sum);
        }
    }
}
