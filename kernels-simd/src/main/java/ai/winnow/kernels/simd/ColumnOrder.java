package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.EVENS;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.ODDS;
import static ai.winnow.kernels.simd.Lanes.ZIP_HIGH;
import static ai.winnow.kernels.simd.Lanes.ZIP_LOW;

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
        for (int o = lo; o < whole; o += 2 * COUNT) {
            FloatVector a =
                    FloatVector.fromMemorySegment(F, bias, biasAt + 4L * o, LE).mul(scale);
            FloatVector b = FloatVector.fromMemorySegment(F, bias, biasAt + 4L * (o + COUNT), LE)
                    .mul(scale);
            a.rearrange(EVENS, b).intoMemorySegment(y, yAt + 4L * o, LE);
            a.rearrange(ODDS, b).intoMemorySegment(y, yAt + 4L * (o + COUNT), LE);
        }
        for (int o = whole; o < hi; o++) {
            y.set(FLOAT, yAt + 4L * o, bias.get(FLOAT, biasAt + 4L * o) * scale);
        }
    }

    /** Puts groups of [evens][odds] into plain order, times scale. */
    static void finishPaired(MemorySegment y, long yAt, int lo, int whole, int hi, float scale) {
        for (int o = lo; o < whole; o += 2 * COUNT) {
            FloatVector evens =
                    FloatVector.fromMemorySegment(F, y, yAt + 4L * o, LE).mul(scale);
            FloatVector odds = FloatVector.fromMemorySegment(F, y, yAt + 4L * (o + COUNT), LE)
                    .mul(scale);
            evens.rearrange(ZIP_LOW, odds).intoMemorySegment(y, yAt + 4L * o, LE);
            evens.rearrange(ZIP_HIGH, odds).intoMemorySegment(y, yAt + 4L * (o + COUNT), LE);
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
