package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Softmax of one head or four over scores {@code [keys, heads]} in units of log 2 that come a piece at a time (Milakov and
 * Gimelshein 2018): a lane belongs to head {@code lane % heads}. The state is three vectors: the greatest so far (the same in all lanes of a head), the sum
 * relative to it (parts of it in each), and the factor that what was summed before the last piece takes.
 */
final class HeadSoftmax {

    static final long SUM = 64;
    static final long FACTOR = 128;
    static final long STATE_BYTES = 192;

    private HeadSoftmax() {}

    static void start(long state) {
        // The lowest number and not infinity: the difference of two infinities would be NaN.
        FloatVector.broadcast(F, -Float.MAX_VALUE).intoMemorySegment(ALL, state, LE);
        FloatVector.zero(F).intoMemorySegment(ALL, state + SUM, LE);
    }

    /**
     * Turns scores into weights relative to the greatest so far.
     *
     * @param s with room for one vector more
     * @param n floats, a multiple of the lanes; scores that do not count are negative infinity
     */
    static void piece(long s, int n, int heads, long state) {
        FloatVector.fromMemorySegment(F, ALL, state, LE).intoMemorySegment(ALL, s + 4L * n, LE);
        greatest(s, n, heads, state);
        Exponential2.of(s, n + COUNT, state);
        sum(s, n, state);
    }

    /** A score that is NaN is not the greatest: its weight will be NaN anyway. */
    private static void greatest(long s, int n, int heads, long state) {
        FloatVector most = FloatVector.fromMemorySegment(F, ALL, state, LE);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector x = FloatVector.fromMemorySegment(F, ALL, s + 4L * i, LE);
            most = most.blend(x, x.compare(VectorOperators.GT, most));
        }
        if (COUNT > 8) {
            FloatVector other = most.rearrange(Lanes.FOLD8);
            most = most.blend(other, other.compare(VectorOperators.GT, most));
        }
        if (COUNT > 4) {
            FloatVector other = most.rearrange(Lanes.FOLD4);
            most = most.blend(other, other.compare(VectorOperators.GT, most));
        }
        if (heads == 1) {
            FloatVector two = most.rearrange(Lanes.FOLD2);
            most = most.blend(two, two.compare(VectorOperators.GT, most));
            FloatVector one = most.rearrange(Lanes.FOLD1);
            most = most.blend(one, one.compare(VectorOperators.GT, most));
        }
        most.intoMemorySegment(ALL, state, LE);
    }

    private static void sum(long s, int n, long state) {
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, s, LE);
        for (int i = COUNT; i < n; i += COUNT) {
            sum = sum.add(FloatVector.fromMemorySegment(F, ALL, s + 4L * i, LE));
        }
        FloatVector factor = FloatVector.fromMemorySegment(F, ALL, s + 4L * n, LE);
        FloatVector before = FloatVector.fromMemorySegment(F, ALL, state + SUM, LE);
        before.fma(factor, sum).intoMemorySegment(ALL, state + SUM, LE);
        factor.intoMemorySegment(ALL, state + FACTOR, LE);
    }

    /** The sum of all weights of {@code head}, after the last piece. */
    static float total(long state, int head, int heads) {
        float total = 0;
        for (int lane = head; lane < COUNT; lane += heads) {
            total += ALL.get(FLOAT, state + SUM + 4L * lane);
        }
        return total;
    }
}
