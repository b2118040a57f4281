package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.A_PITCH;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Softmax of many rows of scores in units of log 2 that come a piece at a time, as {@link HeadSoftmax} of four heads. Scores lie {@link
 * GemmTile#A_PITCH} apart; a piece is whole vectors. All places are addresses. For each row there are the greatest score so far, the sum
 * of its weights in as many parts as there are lanes, and the factor that earlier sums take.
 */
final class TileSoftmax {

    private static final long VECTOR = 4L * COUNT;

    private TileSoftmax() {}

    /** Scores to be summed up start as zero. */
    static void zero(long s, int rows, int width) {
        FloatVector zero = FloatVector.zero(F);
        for (int row = 0; row < rows; row++) {
            long end = s + A_PITCH * row + 4L * width;
            for (long at = end - 4L * width; at != end; at += VECTOR) {
                zero.intoMemorySegment(ALL, at, LE);
            }
        }
    }

    static void start(long greatest, long sums, int rows) {
        for (int row = 0; row < rows; row++) {
            ALL.set(FLOAT, greatest + 4L * row, -Float.MAX_VALUE); // no infinity, see HeadSoftmax
        }
        Lanes.zero(sums, COUNT * rows);
    }

    /** Raises what is the greatest, and says by how much it was less before. A score that is NaN is not the greatest. */
    static void greatest(long s, int rows, int width, long greatest, long differences) {
        for (int row = 0; row < rows; row++) {
            float before = ALL.get(FLOAT, greatest + 4L * row);
            FloatVector most = FloatVector.broadcast(F, before);
            long end = s + A_PITCH * row + 4L * width;
            for (long at = end - 4L * width; at != end; at += VECTOR) {
                FloatVector x = FloatVector.fromMemorySegment(F, ALL, at, LE);
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
            FloatVector two = most.rearrange(Lanes.FOLD2);
            most = most.blend(two, two.compare(VectorOperators.GT, most));
            FloatVector one = most.rearrange(Lanes.FOLD1);
            most = most.blend(one, one.compare(VectorOperators.GT, most));
            float now = most.lane(0);
            ALL.set(FLOAT, greatest + 4L * row, now);
            ALL.set(FLOAT, differences + 4L * row, before - now);
        }
    }

    /** Adds the weights of a piece to sums that take their factor before. */
    static void sum(long s, int rows, int width, long factors, long sums) {
        for (int row = 0; row < rows; row++) {
            FloatVector factor = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, factors + 4L * row));
            FloatVector sum = FloatVector.fromMemorySegment(F, ALL, sums + VECTOR * row, LE)
                    .mul(factor);
            long end = s + A_PITCH * row + 4L * width;
            for (long at = end - 4L * width; at != end; at += VECTOR) {
                sum = sum.add(FloatVector.fromMemorySegment(F, ALL, at, LE));
            }
            sum.intoMemorySegment(ALL, sums + VECTOR * row, LE);
        }
    }

    /** y[row] = y[row] * factor[row], where that is not one. */
    static void scale(long y, long pitch, int rows, int width, long factors) {
        for (int row = 0; row < rows; row++) {
            float factor = ALL.get(FLOAT, factors + 4L * row);
            if (factor != 1) {
                Elementwise.scale(y + pitch * row, factor, y + pitch * row, width);
            }
        }
    }

    /** The sum of all weights of a row, after the last piece. */
    static float total(long sums, int row) {
        float total = 0;
        for (int lane = 0; lane < COUNT; lane++) {
            total += ALL.get(FLOAT, sums + VECTOR * row + 4L * lane);
        }
        return total;
    }
}
