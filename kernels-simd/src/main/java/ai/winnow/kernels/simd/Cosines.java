package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.CosineReduce;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * What is taken of the products of a row with others: each becomes a cosine by the inverse norms of both. The state of a row is what
 * each lane knows so far; lanes meet at the end.
 */
final class Cosines {

    private static final long VECTOR = 4L * COUNT;

    // The state: a number a lane, an index a lane, the inverse norm of the row, a count.
    private static final long INDEX_AT = VECTOR;
    private static final long NORM_AT = 2 * VECTOR;
    static final long COUNT_AT = NORM_AT + 4;
    static final long STATE_BYTES = 3 * VECTOR;

    private static final IntVector IOTA = IntVector.zero(I).addIndex(1);

    private Cosines() {}

    static void inverseNorms(long x, int rows, int width, long norms) {
        for (int row = 0; row < rows; row++) {
            ALL.set(FLOAT, norms + 4L * row, inverseNorm(x, row, width));
        }
    }

    static float inverseNorm(long x, int row, int width) {
        double norm = Math.sqrt(Moments.squares(x + 4L * row * width, width));
        return (float) (1 / Math.max(norm, CosineReduce.LEAST_NORM));
    }

    static void start(CosineReduce.Reduction reduction, float inverseNorm, long state) {
        boolean greatest = reduction instanceof CosineReduce.Reduction.Greatest;
        FloatVector.broadcast(F, greatest ? Float.NEGATIVE_INFINITY : 0).intoMemorySegment(ALL, state, LE);

        Lanes.zero(state + INDEX_AT, COUNT);
        ALL.set(FLOAT, state + NORM_AT, inverseNorm);
        ALL.set(INT, state + COUNT_AT, 0);
    }

    /**
     * Of the products {@code lo} to {@code hi} of a block the greatest cosine of each lane and its index.
     *
     * @param from index of the block's first
     */
    static void greatest(long products, long norms, int lo, int hi, int from, long state) {
        FloatVector own = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, state + NORM_AT));
        FloatVector best = FloatVector.fromMemorySegment(F, ALL, state, LE);
        FloatVector index = FloatVector.fromMemorySegment(F, ALL, state + INDEX_AT, LE);
        int i = lo;
        for (; i <= hi - COUNT; i += COUNT) {
            FloatVector norm = FloatVector.fromMemorySegment(F, ALL, norms + 4L * i, LE);
            FloatVector cosine = FloatVector.fromMemorySegment(F, ALL, products + 4L * i, LE)
                    .mul(norm)
                    .mul(own);
            VectorMask<Float> better = cosine.compare(VectorOperators.LE, best)
                    .not()
                    .and(best.compare(VectorOperators.EQ, best)); // NaN stays
            best = best.blend(cosine, better);
            index = index.blend(IOTA.add(from + i).reinterpretAsFloats(), better);
        }
        best.intoMemorySegment(ALL, state, LE);
        index.intoMemorySegment(ALL, state + INDEX_AT, LE);
        greatestOfRest(products, norms, i, hi, from, state);
    }

    /** What does not fill a vector, each in the lane where it would lie. */
    private static void greatestOfRest(long products, long norms, int lo, int hi, int from, long state) {
        float own = ALL.get(FLOAT, state + NORM_AT);
        for (int i = lo; i < hi; i++) {
            long lane = 4L * (i - lo);
            float cosine = ALL.get(FLOAT, products + 4L * i) * ALL.get(FLOAT, norms + 4L * i) * own;
            float best = ALL.get(FLOAT, state + lane);
            if (!(cosine <= best) && !Float.isNaN(best)) {
                ALL.set(FLOAT, state + lane, cosine);
                ALL.set(INT, state + INDEX_AT + lane, from + i);
            }
        }
    }

    static void finishGreatest(long state, long greatest, long index, long at) {
        float best = ALL.get(FLOAT, state);
        int bestIndex = ALL.get(INT, state + INDEX_AT);
        for (int lane = 1; lane < COUNT; lane++) {
            float cosine = ALL.get(FLOAT, state + 4L * lane);
            int laneIndex = ALL.get(INT, state + INDEX_AT + 4L * lane);
            boolean equal = Float.isNaN(best) ? Float.isNaN(cosine) : cosine == best;
            boolean better = equal ? laneIndex < bestIndex : !Float.isNaN(best) && !(cosine <= best);
            best = better ? cosine : best;
            bestIndex = better ? laneIndex : bestIndex;
        }
        ALL.set(FLOAT, greatest + at, best);
        ALL.set(INT, index + at, bestIndex);
    }

    /** Counts the cosines {@code lo} to {@code hi} of a block that are above {@code threshold}. */
    static void countAbove(long products, long norms, int lo, int hi, float threshold, long state) {
        FloatVector own = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, state + NORM_AT));
        FloatVector limit = FloatVector.broadcast(F, threshold);
        int count = ALL.get(INT, state + COUNT_AT);
        for (int i = lo; i < hi; i += COUNT) {
            FloatVector norm = FloatVector.fromMemorySegment(F, ALL, norms + 4L * i, LE);
            FloatVector cosine = FloatVector.fromMemorySegment(F, ALL, products + 4L * i, LE)
                    .mul(norm)
                    .mul(own);
            VectorMask<Float> above = cosine.compare(VectorOperators.LE, limit).not();
            count += above.and(F.indexInRange(i, hi)).trueCount();
        }
        ALL.set(INT, state + COUNT_AT, count);
    }

    /** The sum of the cosines {@code lo} to {@code hi} of a block in each lane. */
    static void sum(long products, long norms, int lo, int hi, long state) {
        FloatVector own = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, state + NORM_AT));
        FloatVector sum = FloatVector.fromMemorySegment(F, ALL, state, LE);
        FloatVector zero = FloatVector.zero(F);
        for (int i = lo; i < hi; i += COUNT) {
            FloatVector norm = FloatVector.fromMemorySegment(F, ALL, norms + 4L * i, LE);
            FloatVector cosine = FloatVector.fromMemorySegment(F, ALL, products + 4L * i, LE)
                    .mul(norm)
                    .mul(own);
            sum = sum.add(zero.blend(cosine, F.indexInRange(i, hi)));
        }
        sum.intoMemorySegment(ALL, state, LE);
    }

    static float finishSum(long state) {
        float sum = 0;
        for (int lane = 0; lane < COUNT; lane++) {
            sum += ALL.get(FLOAT, state + 4L * lane);
        }
        return sum;
    }
}
