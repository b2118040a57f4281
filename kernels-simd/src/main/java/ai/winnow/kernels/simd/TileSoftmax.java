package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Softmax over tiles of scores {@code [row][key]} that come one after the other, as {@link Softmax}, but a row's scores side by side. Everything lies in
 * the same scratch.
 */
final class TileSoftmax {

    /** The score of a key that does not count. */
    static final float NONE = Float.NEGATIVE_INFINITY;

    /** Adding this rounds to an integer, which then stands in the lowest bits. */
    private static final float ROUND = 0x1.8p23f + 127;

    /** Powers below are zero: they would be no normal numbers, and weigh nothing beside the greatest, which is 1. */
    private static final float LOWEST = -125f;

    private TileSoftmax() {}

    /**
     * Turns scores into weights relative to the greatest so far of their row.
     *
     * @param keys scores a row, a multiple of the lanes
     * @param maximaAt the greatest score so far, a float a row
     * @param totalsAt the sum of weights so far, a float a row
     * @param factorsAt receives what earlier sums of a row must be multiplied with, a float a row
     */
    static void run(
            MemorySegment s, long sAt, long pitch, int rows, int keys, long maximaAt, long totalsAt, long factorsAt) {
        for (int row = 0; row < rows; row++) {
            float before = s.get(FLOAT, maximaAt + 4L * row);
            float max = Math.max(before, max(s, sAt + row * pitch, keys));
            s.set(FLOAT, maximaAt + 4L * row, max);
            // Where nothing counts yet the weights are 2^(-infinity - 0).
            s.set(FLOAT, factorsAt + 4L * row, before - (max == NONE ? 0 : max));
        }
        powers(s, factorsAt, rows);
        for (int row = 0; row < rows; row++) {
            float max = s.get(FLOAT, maximaAt + 4L * row);
            weights(s, sAt + row * pitch, keys, max == NONE ? 0 : max);
            float sum = sum(s, sAt + row * pitch, keys);
            float factor = s.get(FLOAT, factorsAt + 4L * row);
            s.set(FLOAT, totalsAt + 4L * row, Math.fma(s.get(FLOAT, totalsAt + 4L * row), factor, sum));
        }
    }

    private static float max(MemorySegment s, long sAt, int n) {
        FloatVector max = FloatVector.fromMemorySegment(F, s, sAt, LE);
        for (int i = COUNT; i < n; i += COUNT) {
            max = max.max(FloatVector.fromMemorySegment(F, s, sAt + 4L * i, LE));
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

    /** x = 2^x, with room for whole vectors. */
    private static void powers(MemorySegment x, long xAt, int n) {
        for (int i = 0; i < n; i += COUNT) {
            weights(x, xAt + 4L * i, COUNT, 0);
        }
    }

    /** s = 2^(s - shift) (Cephes, exp2f). Summed elsewhere: with the sum it is too much for C2 to inline all of it. */
    private static void weights(MemorySegment s, long sAt, int n, float shift) {
        FloatVector zero = FloatVector.zero(F);
        FloatVector shifts = FloatVector.broadcast(F, shift);
        FloatVector round = FloatVector.broadcast(F, ROUND);
        FloatVector lowest = FloatVector.broadcast(F, LOWEST);
        for (int i = 0; i < n; i += COUNT) {
            FloatVector power =
                    FloatVector.fromMemorySegment(F, s, sAt + 4L * i, LE).sub(shifts);
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
            result = result.blend(zero, power.compare(VectorOperators.LT, lowest));
            result.intoMemorySegment(s, sAt + 4L * i, LE);
        }
    }

    private static float sum(MemorySegment s, long sAt, int n) {
        FloatVector total = FloatVector.zero(F);
        for (int i = 0; i < n; i += COUNT) {
            total = total.add(FloatVector.fromMemorySegment(F, s, sAt + 4L * i, LE));
        }
        if (COUNT > 8) {
            total = total.add(total.rearrange(Lanes.FOLD8));
        }
        if (COUNT > 4) {
            total = total.add(total.rearrange(Lanes.FOLD4));
        }
        total = total.add(total.rearrange(Lanes.FOLD2));
        total = total.add(total.rearrange(Lanes.FOLD1));
        return total.lane(0);
    }
}
