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

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/** What the column-major linear kernels of all weight types share: how outputs start and end, and which input comes next. */
final class ColumnOrder {

    private ColumnOrder() {}

    /** The p-th input: of the list, or of all when there is none. */
    static int input(@Nullable MemorySegment index, long indexAt, int p) {
        return index == null ? p : index.get(INT, indexAt + 4L * p);
    }

    /** Outputs start as the bias, or as zero. */
    static void start(@Nullable MemorySegment bias, long biasAt, MemorySegment y, long yAt, int lo, int hi) {
        if (bias == null) {
            Lanes.zero(y, yAt + 4L * lo, hi - lo);
        } else {
            MemorySegment.copy(bias, biasAt + 4L * lo, y, yAt + 4L * lo, 4L * (hi - lo));
        }
    }

    /** Outputs start as scale * bias in groups of [evens][odds] up to {@code whole}, in plain order from there. */
    static void startPaired(
            @Nullable MemorySegment bias,
            long biasAt,
            MemorySegment y,
            long yAt,
            int lo,
            int whole,
            int hi,
            float scale) {
        if (bias == null) {
            start(null, 0, y, yAt, lo, hi);
            return;
        }
        FloatVector scales = FloatVector.broadcast(F, scale);
        for (int o = lo; o < whole; o += 2 * COUNT) {
            FloatVector a =
                    FloatVector.fromMemorySegment(F, bias, biasAt + 4L * o, LE).mul(scales);
            FloatVector b = FloatVector.fromMemorySegment(F, bias, biasAt + 4L * (o + COUNT), LE)
                    .mul(scales);
            a.rearrange(EVENS).blend(b.rearrange(EVENS), UPPER_LANES).intoMemorySegment(y, yAt + 4L * o, LE);
            a.rearrange(ODDS).blend(b.rearrange(ODDS), UPPER_LANES).intoMemorySegment(y, yAt + 4L * (o + COUNT), LE);
        }
        for (int o = whole; o < hi; o++) {
            y.set(FLOAT, yAt + 4L * o, bias.get(FLOAT, biasAt + 4L * o) * scale);
        }
    }

    /** Puts groups of [evens][odds] into plain order, times scale. */
    static void finishPaired(MemorySegment y, long yAt, int lo, int whole, int hi, float scale) {
        FloatVector scales = FloatVector.broadcast(F, scale);
        for (int o = lo; o < whole; o += 2 * COUNT) {
            FloatVector evens =
                    FloatVector.fromMemorySegment(F, y, yAt + 4L * o, LE).mul(scales);
            FloatVector odds = FloatVector.fromMemorySegment(F, y, yAt + 4L * (o + COUNT), LE)
                    .mul(scales);
            evens.rearrange(DOUBLE_LOW)
                    .blend(odds.rearrange(DOUBLE_LOW), ODD_LANES)
                    .intoMemorySegment(y, yAt + 4L * o, LE);
            evens.rearrange(DOUBLE_HIGH)
                    .blend(odds.rearrange(DOUBLE_HIGH), ODD_LANES)
                    .intoMemorySegment(y, yAt + 4L * (o + COUNT), LE);
        }
        for (int o = whole; o < hi; o++) {
            y.set(FLOAT, yAt + 4L * o, y.get(FLOAT, yAt + 4L * o) * scale);
        }
    }

    /** y = y * scale + bias. */
    static void scale(
            MemorySegment scales,
            long scalesAt,
            @Nullable MemorySegment bias,
            long biasAt,
            MemorySegment y,
            long yAt,
            int lo,
            int hi) {
        for (int o = lo; o < hi; o += COUNT) {
            var mask = F.indexInRange(o, hi);
            FloatVector sum = FloatVector.fromMemorySegment(F, y, yAt + 4L * o, LE, mask);
            FloatVector scale = FloatVector.fromMemorySegment(F, scales, scalesAt + 4L * o, LE, mask);
            FloatVector start = bias == null
                    ? FloatVector.zero(F)
                    : FloatVector.fromMemorySegment(F, bias, biasAt + 4L * o, LE, mask);
            sum.fma(scale, start).intoMemorySegment(y, yAt + 4L * o, LE, mask);
        }
    }
}
