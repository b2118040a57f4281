package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.DOUBLE_HIGH;
import static ai.winnow.kernels.simd.Lanes.DOUBLE_LOW;
import static ai.winnow.kernels.simd.Lanes.EVENS;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.ODDS;
import static ai.winnow.kernels.simd.Lanes.ODD_LANES;
import static ai.winnow.kernels.simd.Lanes.UPPER_LANES;
import static ai.winnow.kernels.simd.Memory.ALL;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/** What the column-major linear kernels of all weight types share: how outputs start and end, and which input comes next. */
final class ColumnOrder {

    private ColumnOrder() {}

    /** The p-th input: of the list, or of all when there is none. */
    static int input(long index, int p) {
        return index == 0 ? p : ALL.get(INT, index + 4L * p);
    }

    /** Outputs start as the bias, or as zero. */
    static void start(long bias, long y, int lo, int hi) {
        if (bias == 0) {
            Lanes.zero(y + 4L * lo, hi - lo);
        } else {
            MemorySegment.copy(ALL, bias + 4L * lo, ALL, y + 4L * lo, 4L * (hi - lo));
        }
    }

    /** Outputs start as scale * bias in groups of [evens][odds] up to {@code whole}, in plain order from there. */
    static void startPaired(long bias, long y, int lo, int whole, int hi, float scale) {
        if (bias == 0) {
            start(0, y, lo, hi);
            return;
        }
        FloatVector scales = FloatVector.broadcast(F, scale);
        for (int o = lo; o < whole; o += 2 * COUNT) {
            FloatVector a =
                    FloatVector.fromMemorySegment(F, ALL, bias + 4L * o, LE).mul(scales);
            FloatVector b = FloatVector.fromMemorySegment(F, ALL, bias + 4L * (o + COUNT), LE)
                    .mul(scales);
            a.rearrange(EVENS).blend(b.rearrange(EVENS), UPPER_LANES).intoMemorySegment(ALL, y + 4L * o, LE);
            a.rearrange(ODDS).blend(b.rearrange(ODDS), UPPER_LANES).intoMemorySegment(ALL, y + 4L * (o + COUNT), LE);
        }
        for (int o = whole; o < hi; o++) {
            ALL.set(FLOAT, y + 4L * o, ALL.get(FLOAT, bias + 4L * o) * scale);
        }
    }

    /** Puts groups of [evens][odds] into plain order, times scale. */
    static void finishPaired(long y, int lo, int whole, int hi, float scale) {
        FloatVector scales = FloatVector.broadcast(F, scale);
        for (int o = lo; o < whole; o += 2 * COUNT) {
            FloatVector evens =
                    FloatVector.fromMemorySegment(F, ALL, y + 4L * o, LE).mul(scales);
            FloatVector odds = FloatVector.fromMemorySegment(F, ALL, y + 4L * (o + COUNT), LE)
                    .mul(scales);
            evens.rearrange(DOUBLE_LOW)
                    .blend(odds.rearrange(DOUBLE_LOW), ODD_LANES)
                    .intoMemorySegment(ALL, y + 4L * o, LE);
            evens.rearrange(DOUBLE_HIGH)
                    .blend(odds.rearrange(DOUBLE_HIGH), ODD_LANES)
                    .intoMemorySegment(ALL, y + 4L * (o + COUNT), LE);
        }
        for (int o = whole; o < hi; o++) {
            ALL.set(FLOAT, y + 4L * o, ALL.get(FLOAT, y + 4L * o) * scale);
        }
    }

    /** y = y * scale + bias. */
    static void scale(long scales, long bias, long y, int lo, int hi) {
        for (int o = lo; o < hi; o += COUNT) {
            var mask = F.indexInRange(o, hi);
            FloatVector sum = FloatVector.fromMemorySegment(F, ALL, y + 4L * o, LE, mask);
            FloatVector scale = FloatVector.fromMemorySegment(F, ALL, scales + 4L * o, LE, mask);
            FloatVector start =
                    bias == 0 ? FloatVector.zero(F) : FloatVector.fromMemorySegment(F, ALL, bias + 4L * o, LE, mask);
            sum.fma(scale, start).intoMemorySegment(ALL, y + 4L * o, LE, mask);
        }
    }
}
