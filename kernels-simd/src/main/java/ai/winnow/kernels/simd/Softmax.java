package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;

/** Softmax over scores that come a piece at a time (Milakov and Gimelshein 2018): the greatest so far and the sum relative to it. */
final class Softmax {

    /** Bytes of the state: the greatest score and the sum. */
    static final long STATE_BYTES = 8;

    private Softmax() {}

    static void start(long state) {
        ALL.set(FLOAT, state, Float.NEGATIVE_INFINITY);
        ALL.set(FLOAT, state + 4, 0f);
    }

    /**
     * Turns scores into weights relative to the greatest score so far.
     *
     * @param n a multiple of the lanes; scores that do not count are negative infinity
     * @return the factor that earlier sums of weights must take
     */
    static float piece(long s, int n, long state) {
        float before = ALL.get(FLOAT, state);
        float greatest = Math.max(before, max(s, n));
        float shift = greatest == Float.NEGATIVE_INFINITY ? 0 : -greatest;
        Exponential.of(s, 1f, shift, s, n);
        float factor = before == greatest ? 1 : (float) Math.exp(before + shift);
        ALL.set(FLOAT, state, greatest);
        ALL.set(FLOAT, state + 4, Math.fma(ALL.get(FLOAT, state + 4), factor, sum(s, n)));
        return factor;
    }

    private static float max(long s, int n) {
        FloatVector max = FloatVector.fromMemorySegment(F, ALL, s, LE);
        for (int i = COUNT; i < n; i += COUNT) {
            max = max.max(FloatVector.fromMemorySegment(F, ALL, s + 4L * i, LE));
        }
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

    private static float sum(long s, int n) {
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, s, LE);
        for (int i = COUNT; i < n; i += COUNT) {
            sum = sum.add(FloatVector.fromMemorySegment(F, ALL, s + 4L * i, LE));
        }
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
