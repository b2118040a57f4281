package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;

import ai.winnow.Settings;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Which inputs to keep, as an ascending int32 list. An element is dropped only if |x| <= t holds, so NaN is kept.
 *
 * <p>Every list needs {@link #SLACK} elements of room behind its last possible entry: vectors are stored whole.
 */
public final class Selection {

    /** Elements that may be written behind the end of a list. */
    public static final int SLACK = 16;

    /**
     * Whether compress is one instruction here: AVX-512, or AVX2 for 32-bit lanes since JDK 23. On 128-bit vectors and on Arm the plain loop is as
     * fast or far faster.
     */
    static final boolean FAST_COMPRESS = COUNT >= 8 && Settings.isX86();

    private static final IntVector IOTA = IntVector.zero(I).addIndex(1);

    private Selection() {}

    /** All of 0..n. Returns n. */
    public static int all(int n, MemorySegment index, long indexAt) {
        for (int j = 0; j < n; j += COUNT) {
            IOTA.add(j).intoMemorySegment(index, indexAt + 4L * j, LE);
        }
        return n;
    }

    /** Keeps j unless |x[j]| <= threshold. Returns how many. */
    public static int threshold(MemorySegment x, long xAt, int n, float threshold, MemorySegment index, long indexAt) {
        return FAST_COMPRESS
                ? vectorThreshold(x, xAt, n, threshold, index, indexAt)
                : scalarThreshold(x, xAt, n, threshold, index, indexAt);
    }

    /** Keeps j unless |x[j]| <= thresholds[j]. Returns how many. */
    public static int thresholds(
            MemorySegment x,
            long xAt,
            int n,
            MemorySegment thresholds,
            long thresholdsAt,
            MemorySegment index,
            long indexAt) {
        return FAST_COMPRESS
                ? vectorThresholds(x, xAt, n, thresholds, thresholdsAt, index, indexAt)
                : scalarThresholds(x, xAt, n, thresholds, thresholdsAt, index, indexAt);
    }

    static int vectorThreshold(MemorySegment x, long xAt, int n, float threshold, MemorySegment index, long indexAt) {
        FloatVector limit = FloatVector.broadcast(F, threshold);
        int kept = 0;
        int whole = F.loopBound(n);
        int j = 0;
        for (; j < whole; j += COUNT) {
            VectorMask<Float> drop =
                    FloatVector.fromMemorySegment(F, x, xAt + 4L * j, LE).abs().compare(VectorOperators.LE, limit);
            VectorMask<Float> keep = drop.not();
            IOTA.add(j)
                    .reinterpretAsFloats()
                    .compress(keep)
                    .reinterpretAsInts()
                    .intoMemorySegment(index, indexAt + 4L * kept, LE);
            kept += keep.trueCount();
        }
        return scalarThresholdFrom(x, xAt, j, n, threshold, index, indexAt, kept);
    }

    static int scalarThreshold(MemorySegment x, long xAt, int n, float threshold, MemorySegment index, long indexAt) {
        return scalarThresholdFrom(x, xAt, 0, n, threshold, index, indexAt, 0);
    }

    private static int scalarThresholdFrom(
            MemorySegment x, long xAt, int from, int n, float threshold, MemorySegment index, long indexAt, int kept) {
        for (int j = from; j < n; j++) {
            index.set(INT, indexAt + 4L * kept, j);
            kept += Math.abs(x.get(FLOAT, xAt + 4L * j)) <= threshold ? 0 : 1;
        }
        return kept;
    }

    static int vectorThresholds(
            MemorySegment x,
            long xAt,
            int n,
            MemorySegment thresholds,
            long thresholdsAt,
            MemorySegment index,
            long indexAt) {
        int kept = 0;
        int whole = F.loopBound(n);
        int j = 0;
        for (; j < whole; j += COUNT) {
            FloatVector limit = FloatVector.fromMemorySegment(F, thresholds, thresholdsAt + 4L * j, LE);
            VectorMask<Float> drop =
                    FloatVector.fromMemorySegment(F, x, xAt + 4L * j, LE).abs().compare(VectorOperators.LE, limit);
            VectorMask<Float> keep = drop.not();
            IOTA.add(j)
                    .reinterpretAsFloats()
                    .compress(keep)
                    .reinterpretAsInts()
                    .intoMemorySegment(index, indexAt + 4L * kept, LE);
            kept += keep.trueCount();
        }
        return scalarThresholdsFrom(x, xAt, j, n, thresholds, thresholdsAt, index, indexAt, kept);
    }

    static int scalarThresholds(
            MemorySegment x,
            long xAt,
            int n,
            MemorySegment thresholds,
            long thresholdsAt,
            MemorySegment index,
            long indexAt) {
        return scalarThresholdsFrom(x, xAt, 0, n, thresholds, thresholdsAt, index, indexAt, 0);
    }

    private static int scalarThresholdsFrom(
            MemorySegment x,
            long xAt,
            int from,
            int n,
            MemorySegment thresholds,
            long thresholdsAt,
            MemorySegment index,
            long indexAt,
            int kept) {
        for (int j = from; j < n; j++) {
            index.set(INT, indexAt + 4L * kept, j);
            kept += Math.abs(x.get(FLOAT, xAt + 4L * j)) <= thresholds.get(FLOAT, thresholdsAt + 4L * j) ? 0 : 1;
        }
        return kept;
    }

    /** Writes a row's listed numbers where they were, and zeros in between. */
    static void keepListed(
            MemorySegment x,
            long xAt,
            int n,
            MemorySegment index,
            long indexAt,
            int listed,
            MemorySegment y,
            long yAt) {
        Lanes.zero(y, yAt, n);
        for (int i = 0; i < listed; i++) {
            long at = 4L * index.get(INT, indexAt + 4L * i);
            y.set(FLOAT, yAt + at, x.get(FLOAT, xAt + at));
        }
    }

    /** Lists the columns of {@code x [rows, n]} in which a number is not zero; NaN is not. Returns how many. */
    static int anyNonZero(MemorySegment x, long xAt, int rows, int n, MemorySegment index, long indexAt) {
        return FAST_COMPRESS
                ? vectorAnyNonZero(x, xAt, rows, n, index, indexAt)
                : scalarAnyNonZero(x, xAt, rows, 0, n, n, index, indexAt, 0);
    }

    static int vectorAnyNonZero(MemorySegment x, long xAt, int rows, int n, MemorySegment index, long indexAt) {
        int kept = 0;
        int whole = F.loopBound(n);
        for (int j = 0; j < whole; j += COUNT) {
            IntVector any = IntVector.fromMemorySegment(I, x, xAt + 4L * j, LE);
            for (int row = 1; row < rows; row++) {
                any = any.or(IntVector.fromMemorySegment(I, x, xAt + 4L * ((long) row * n + j), LE));
            }
            VectorMask<Float> keep =
                    any.and(0x7fffffff).reinterpretAsFloats().compare(VectorOperators.NE, 0f); // without the sign
            IOTA.add(j)
                    .reinterpretAsFloats()
                    .compress(keep)
                    .reinterpretAsInts()
                    .intoMemorySegment(index, indexAt + 4L * kept, LE);
            kept += keep.trueCount();
        }
        return scalarAnyNonZero(x, xAt, rows, whole, n, n, index, indexAt, kept);
    }

    static int scalarAnyNonZero(
            MemorySegment x,
            long xAt,
            int rows,
            int from,
            int to,
            int n,
            MemorySegment index,
            long indexAt,
            int before) {
        int kept = before;
        for (int j = from; j < to; j++) {
            boolean any = false;
            for (int row = 0; row < rows && !any; row++) {
                any = x.get(FLOAT, xAt + 4L * ((long) row * n + j)) != 0;
            }
            index.set(INT, indexAt + 4L * kept, j);
            kept += any ? 1 : 0;
        }
        return kept;
    }

    /** Moves the listed columns of {@code x [rows, n]} together, in place: {@code x [rows, listed]}. */
    static void pack(MemorySegment x, long xAt, int rows, int n, MemorySegment index, long indexAt, int listed) {
        long to = xAt;
        for (int row = 0; row < rows; row++) {
            long from = xAt + 4L * row * n;
            for (int i = 0; i < listed; i++) {
                // What is written lies before what is still to be read.
                x.set(FLOAT, to, x.get(FLOAT, from + 4L * index.get(INT, indexAt + 4L * i)));
                to += 4;
            }
        }
    }

    /** How many entries of an ascending list are less than {@code bound}. */
    static int below(MemorySegment index, long indexAt, int listed, int bound) {
        int low = 0;
        int high = listed;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (index.get(INT, indexAt + 4L * middle) < bound) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }
}
