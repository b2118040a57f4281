package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.Settings;
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
    public static int all(int n, long index) {
        for (int j = 0; j < n; j += COUNT) {
            IOTA.add(j).intoMemorySegment(ALL, index + 4L * j, LE);
        }
        return n;
    }

    /** Keeps j unless |x[j]| <= threshold. Returns how many. */
    public static int threshold(long x, int n, float threshold, long index) {
        return FAST_COMPRESS ? vectorThreshold(x, n, threshold, index) : scalarThreshold(x, n, threshold, index);
    }

    /** Keeps j unless |x[j]| <= thresholds[j]. Returns how many. */
    public static int thresholds(long x, int n, long thresholds, long index) {
        return FAST_COMPRESS ? vectorThresholds(x, n, thresholds, index) : scalarThresholds(x, n, thresholds, index);
    }

    static int vectorThreshold(long x, int n, float threshold, long index) {
        FloatVector limit = FloatVector.broadcast(F, threshold);
        int kept = 0;
        int whole = F.loopBound(n);
        int j = 0;
        for (; j < whole; j += COUNT) {
            VectorMask<Float> drop =
                    FloatVector.fromMemorySegment(F, ALL, x + 4L * j, LE).abs().compare(VectorOperators.LE, limit);
            VectorMask<Float> keep = drop.not();
            IOTA.add(j)
                    .reinterpretAsFloats()
                    .compress(keep)
                    .reinterpretAsInts()
                    .intoMemorySegment(ALL, index + 4L * kept, LE);
            kept += keep.trueCount();
        }
        return scalarThresholdFrom(x, j, n, threshold, index, kept);
    }

    static int scalarThreshold(long x, int n, float threshold, long index) {
        return scalarThresholdFrom(x, 0, n, threshold, index, 0);
    }

    private static int scalarThresholdFrom(long x, int from, int n, float threshold, long index, int kept) {
        for (int j = from; j < n; j++) {
            ALL.set(INT, index + 4L * kept, j);
            kept += Math.abs(ALL.get(FLOAT, x + 4L * j)) <= threshold ? 0 : 1;
        }
        return kept;
    }

    static int vectorThresholds(long x, int n, long thresholds, long index) {
        int kept = 0;
        int whole = F.loopBound(n);
        int j = 0;
        for (; j < whole; j += COUNT) {
            FloatVector limit = FloatVector.fromMemorySegment(F, ALL, thresholds + 4L * j, LE);
            VectorMask<Float> drop =
                    FloatVector.fromMemorySegment(F, ALL, x + 4L * j, LE).abs().compare(VectorOperators.LE, limit);
            VectorMask<Float> keep = drop.not();
            IOTA.add(j)
                    .reinterpretAsFloats()
                    .compress(keep)
                    .reinterpretAsInts()
                    .intoMemorySegment(ALL, index + 4L * kept, LE);
            kept += keep.trueCount();
        }
        return scalarThresholdsFrom(x, j, n, thresholds, index, kept);
    }

    static int scalarThresholds(long x, int n, long thresholds, long index) {
        return scalarThresholdsFrom(x, 0, n, thresholds, index, 0);
    }

    private static int scalarThresholdsFrom(long x, int from, int n, long thresholds, long index, int kept) {
        for (int j = from; j < n; j++) {
            ALL.set(INT, index + 4L * kept, j);
            kept += Math.abs(ALL.get(FLOAT, x + 4L * j)) <= ALL.get(FLOAT, thresholds + 4L * j) ? 0 : 1;
        }
        return kept;
    }

    /** Writes a row's listed numbers where they were, and zeros in between. */
    static void keepListed(long x, int n, long index, int listed, long y) {
        Lanes.zero(y, n);
        for (int i = 0; i < listed; i++) {
            long at = 4L * ALL.get(INT, index + 4L * i);
            ALL.set(FLOAT, y + at, ALL.get(FLOAT, x + at));
        }
    }

    /** Lists the columns of {@code x [rows, n]} in which a number is not zero; NaN is not. Returns how many. */
    static int anyNonZero(long x, int rows, int n, long index) {
        return FAST_COMPRESS ? vectorAnyNonZero(x, rows, n, index) : scalarAnyNonZero(x, rows, 0, n, n, index, 0);
    }

    static int vectorAnyNonZero(long x, int rows, int n, long index) {
        int kept = 0;
        int whole = F.loopBound(n);
        for (int j = 0; j < whole; j += COUNT) {
            IntVector any = IntVector.fromMemorySegment(I, ALL, x + 4L * j, LE);
            for (int row = 1; row < rows; row++) {
                any = any.or(IntVector.fromMemorySegment(I, ALL, x + 4L * ((long) row * n + j), LE));
            }
            VectorMask<Float> keep =
                    any.and(0x7fffffff).reinterpretAsFloats().compare(VectorOperators.NE, 0f); // without the sign
            IOTA.add(j)
                    .reinterpretAsFloats()
                    .compress(keep)
                    .reinterpretAsInts()
                    .intoMemorySegment(ALL, index + 4L * kept, LE);
            kept += keep.trueCount();
        }
        return scalarAnyNonZero(x, rows, whole, n, n, index, kept);
    }

    static int scalarAnyNonZero(long x, int rows, int from, int to, int n, long index, int before) {
        int kept = before;
        for (int j = from; j < to; j++) {
            boolean any = false;
            for (int row = 0; row < rows && !any; row++) {
                any = ALL.get(FLOAT, x + 4L * ((long) row * n + j)) != 0;
            }
            ALL.set(INT, index + 4L * kept, j);
            kept += any ? 1 : 0;
        }
        return kept;
    }

    /** Moves the listed columns of {@code x [rows, n]} together, in place: {@code x [rows, listed]}. */
    static void pack(long x, int rows, int n, long index, int listed) {
        long to = x;
        for (int row = 0; row < rows; row++) {
            long from = x + 4L * row * n;
            for (int i = 0; i < listed; i++) {
                // What is written lies before what is still to be read.
                ALL.set(FLOAT, to, ALL.get(FLOAT, from + 4L * ALL.get(INT, index + 4L * i)));
                to += 4;
            }
        }
    }

    /** How many entries of an ascending list are less than {@code bound}. */
    static int below(long index, int listed, int bound) {
        int low = 0;
        int high = listed;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ALL.get(INT, index + 4L * middle) < bound) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }
}
