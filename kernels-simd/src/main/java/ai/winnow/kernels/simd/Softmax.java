package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.LE;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Softmax over scores that come a piece at a time (Milakov and Gimelshein 2018), for one head or for four whose scores lie side by side,
 * {@code [key][head]}. Scores are logarithms to base 2: the caller folds {@link #LOG2_E} into its scale.
 *
 * <p>The state of the heads is mergeable: {@code [greatest score][sum of weights][factor of earlier sums]}, each a vector whose lane {@code i}
 * belongs to head {@code i % heads}; the sum of a head is spread over its lanes.
 */
final class Softmax {

    static final float LOG2_E = 1.44269504088896341f;

    /** Bytes of one vector of the state. */
    private static final long SLOT = 64;

    private static final long SUM = SLOT;
    private static final long FACTOR = 2 * SLOT;
    static final long STATE_BYTES = 3 * SLOT;

    /** Adding this rounds to an integer, which then stands in the lowest bits. */
    private static final float ROUND = 0x1.8p23f + 127;

    /** Powers below are zero: they would be no normal numbers, and weigh nothing beside the greatest, which is 1. */
    private static final float LOWEST = -125f;

    private Softmax() {}

    static void start(MemorySegment state, long stateAt) {
        FloatVector.broadcast(F, Float.NEGATIVE_INFINITY).intoMemorySegment(state, stateAt, LE);
        FloatVector.zero(F).intoMemorySegment(state, stateAt + SUM, LE);
    }

    /** Where the factors begin that earlier sums of weighted values must take, one a head. */
    static long factorsAt(long stateAt) {
        return stateAt + FACTOR;
    }

    /**
     * Turns scores into weights relative to the greatest score so far.
     *
     * @param n scores of all heads, a multiple of the lanes; those that do not count are negative infinity
     */
    static void piece(MemorySegment s, long sAt, int n, int heads, MemorySegment state, long stateAt) {
        FloatVector.fromMemorySegment(F, state, stateAt, LE).intoMemorySegment(state, stateAt + FACTOR, LE);
        raise(s, sAt, n, heads, state, stateAt);
        powers(state, stateAt + FACTOR, COUNT, state, stateAt);
        powers(s, sAt, n, state, stateAt);
        FloatVector factor = FloatVector.fromMemorySegment(F, state, stateAt + FACTOR, LE);
        FloatVector sum =
                FloatVector.fromMemorySegment(F, state, stateAt + SUM, LE).mul(factor);
        for (int i = 0; i < n; i += COUNT) {
            sum = sum.add(FloatVector.fromMemorySegment(F, s, sAt + 4L * i, LE));
        }
        sum.intoMemorySegment(state, stateAt + SUM, LE);
    }

    /**
     * Makes one state of two, as if the second's scores had come after the first's. Each has then the factor that its sums of weighted values
     * must take.
     */
    static void merge(MemorySegment state, long stateAt, long secondAt) {
        FloatVector first = FloatVector.fromMemorySegment(F, state, stateAt, LE);
        FloatVector second = FloatVector.fromMemorySegment(F, state, secondAt, LE);
        first.intoMemorySegment(state, stateAt + FACTOR, LE);
        second.intoMemorySegment(state, secondAt + FACTOR, LE);
        first.max(second).intoMemorySegment(state, stateAt, LE);
        powers(state, stateAt + FACTOR, COUNT, state, stateAt);
        powers(state, secondAt + FACTOR, COUNT, state, stateAt);
        FloatVector factor = FloatVector.fromMemorySegment(F, state, secondAt + FACTOR, LE);
        FloatVector sum =
                FloatVector.fromMemorySegment(F, state, secondAt + SUM, LE).mul(factor);
        FloatVector.fromMemorySegment(F, state, stateAt + SUM, LE)
                .fma(FloatVector.fromMemorySegment(F, state, stateAt + FACTOR, LE), sum)
                .intoMemorySegment(state, stateAt + SUM, LE);
    }

    /** Puts for each head into its factor what its sums must be divided by. */
    static void finish(MemorySegment state, long stateAt, int heads) {
        FloatVector sum = FloatVector.fromMemorySegment(F, state, stateAt + SUM, LE);
        if (COUNT > 8) {
            sum = sum.add(sum.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            sum = sum.add(sum.rearrange(Lanes.FOLD4));
        }
        if (heads == 1) {
            sum = sum.add(sum.rearrange(Lanes.FOLD2));
            sum = sum.add(sum.rearrange(Lanes.FOLD1));
        }
        sum.intoMemorySegment(state, stateAt + FACTOR, LE);
    }

    /** Raises the greatest score so far to that of all scores. */
    private static void raise(MemorySegment s, long sAt, int n, int heads, MemorySegment state, long stateAt) {
        FloatVector max = FloatVector.fromMemorySegment(F, state, stateAt, LE);
        for (int i = 0; i < n; i += COUNT) {
            max = max.max(FloatVector.fromMemorySegment(F, s, sAt + 4L * i, LE));
        }
        if (COUNT > 8) {
            max = max.max(max.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            max = max.max(max.rearrange(Lanes.FOLD4));
        }
        if (heads == 1) {
            max = max.max(max.rearrange(Lanes.FOLD2));
            max = max.max(max.rearrange(Lanes.FOLD1));
        }
        max.intoMemorySegment(state, stateAt, LE);
    }

    /**
     * x = 2^(x - max), by our own polynomial (Cephes, exp2f): plain arithmetic has the same bits interpreted and compiled.
     *
     * @param maxAt a vector; where it is negative infinity no score counts, and all weights are zero
     */
    private static void powers(MemorySegment x, long xAt, int n, MemorySegment state, long maxAt) {
        FloatVector max = FloatVector.fromMemorySegment(F, state, maxAt, LE);
        FloatVector zero = FloatVector.zero(F);
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector lowest = FloatVector.broadcast(F, LOWEST);
        FloatVector shift = max.blend(zero, max.compare(VectorOperators.EQ, Float.NEGATIVE_INFINITY));
        for (int i = 0; i < n; i += COUNT) {
            FloatVector power =
                    FloatVector.fromMemorySegment(F, x, xAt + 4L * i, LE).sub(shift);
            FloatVector rounded = power.add(round);
            FloatVector rest = power.sub(rounded.sub(round));
            FloatVector sum = FloatVector.broadcast(F, 1.535336188319500e-4f);
            sum = sum.fma(rest, FloatVector.broadcast(F, 1.339887440266574e-3f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 9.618437357674640e-3f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 5.550332471162809e-2f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 2.402264791363012e-1f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 6.931472028550421e-1f));
            sum = sum.fma(rest, FloatVector.broadcast(F, 1f));
            // 2^rounded by its bits, times: added to the bits of a NaN it could make a number of it.
            FloatVector scale = rounded.reinterpretAsInts()
                    .lanewise(VectorOperators.LSHL, 23)
                    .reinterpretAsFloats();
            FloatVector result = sum.mul(scale);
            result.blend(zero, power.compare(VectorOperators.LT, lowest)).intoMemorySegment(x, xAt + 4L * i, LE);
        }
    }
}
