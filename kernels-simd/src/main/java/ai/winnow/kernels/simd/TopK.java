package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * The k numbers of largest |x| * c, or of largest value, as an ascending int32 list; ties go to the lower index and NaN ranks above infinity, so it is never
 * dropped.
 *
 * <p>Radix select on the bits of the floats as integers of the same order, 12 + 10 + 10 bits: one pass over all keys, then two over the few candidates that
 * share the bits of the k-th. Of many keys only those are counted that are above what a sample says: scalar counting is ten times as long as comparing. Scratch (native): {@link #scratchBytes}.
 */
public final class TopK {

    private static final int HISTOGRAM = 4096;

    /** Keys from which on a sample of about {@link #SAMPLE} of them says which are worth a look. */
    private static final int SAMPLED = 1 << 13;

    private static final int SAMPLE = 1024;

    private static final int ALL_EQUALS = 0;

    private static final IntVector IOTA = IntVector.zero(I).addIndex(1);

    private TopK() {}

    /** Bytes of scratch for n inputs: histogram, keys, candidates. */
    public static long scratchBytes(int n) {
        return 4L * (HISTOGRAM + 2L * (n + Selection.SLACK + COUNT));
    }

    /** Writes k indices (plus slack) to {@code index}. {@code c} may be 0; returns min(k, n). */
    public static int select(long x, long c, int n, int k, long scratch, long index) {
        if (k >= n) {
            return Selection.all(n, index);
        }
        if (k <= 0) {
            return 0;
        }
        magnitudes(x, c, n, keysAt(scratch));
        return select(n, k, scratch, index);
    }

    /** The same of the greatest of {@code x}; negative zero is less than zero. */
    static int selectGreatest(long x, int n, int k, long scratch, long index) {
        if (k >= n) {
            return Selection.all(n, index);
        }
        if (k <= 0) {
            return 0;
        }
        ordered(x, n, keysAt(scratch));
        return select(n, k, scratch, index);
    }

    private static long keysAt(long scratch) {
        return scratch + 4L * HISTOGRAM;
    }

    /** Of the n keys in scratch. */
    private static int select(int n, int k, long scratch, long index) {
        long keysAt = keysAt(scratch);
        long candidatesAt = keysAt + 4L * (n + Selection.SLACK + COUNT);
        long from = keysAt;
        int count = n;
        if (Selection.FAST_COMPRESS && n >= SAMPLED && k <= n / 4) {
            int few = likely(n, k, scratch, candidatesAt);
            if (few >= k) {
                from = candidatesAt;
                count = few;
            }
        }
        long found = kth(scratch, from, count, candidatesAt, k);
        int bits = (int) (found >> 32);
        int equals = (int) found;
        return equals == ALL_EQUALS ? above(keysAt, n, bits, index) : aboveOrFirstEqual(keysAt, n, bits, equals, index);
    }

    /**
     * Copies the keys that reach a bound which probably at least k of them reach: found in a sample, three deviations below the rank that k has
     * there. Returns how many there are; with less than k of them the bound was too high.
     */
    private static int likely(int n, int k, long scratch, long candidatesAt) {
        long keysAt = keysAt(scratch);
        int stride = n / SAMPLE;
        int sample = 0;
        for (int j = 0; j < n; j += stride) {
            ALL.set(INT, candidatesAt + 4L * sample++, ALL.get(INT, keysAt + 4L * j));
        }
        double rank = (double) k / stride;
        int want = Math.min(sample, (int) (rank + 3 * Math.sqrt(rank)) + 2);
        int bound = (int) (kth(scratch, candidatesAt, sample, candidatesAt, want) >> 32);
        return keysFrom(bound, keysAt, n, candidatesAt);
    }

    /** The keys that are at least {@code least}. */
    private static int keysFrom(int least, long keysAt, int n, long to) {
        int kept = 0;
        int whole = F.loopBound(n);
        for (int j = 0; j < whole; j += COUNT) {
            IntVector keys = IntVector.fromMemorySegment(I, ALL, keysAt + 4L * j, LE);
            VectorMask<Integer> keep = keys.compare(VectorOperators.GE, least);
            keys.compress(keep).intoMemorySegment(ALL, to + 4L * kept, LE);
            kept += keep.trueCount();
        }
        for (int j = whole; j < n; j++) {
            int key = ALL.get(INT, keysAt + 4L * j);
            ALL.set(INT, to + 4L * kept, key);
            kept += key >= least ? 1 : 0;
        }
        return kept;
    }

    /**
     * The k-th largest of some keys, ten or twelve bits at a time.
     *
     * @param candidatesAt room for as many keys, which may be these
     * @return its bits, and below them how many of those equal to it are among the k, or {@link #ALL_EQUALS}
     */
    private static long kth(long scratch, long keysAt, int keys, long candidatesAt, int k) {
        int want = k; // its rank among the keys that share the bits found so far
        int bits = 0;
        long from = keysAt;
        int count = keys;
        for (int shift = 20; shift >= 0; shift -= 10) {
            histogram(scratch, from, count, shift);
            int bucket = shift == 20 ? HISTOGRAM - 1 : 1023;
            for (int size; (size = ALL.get(INT, scratch + 4L * bucket)) < want; bucket--) {
                want -= size;
            }
            bits |= (shift == 20 ? bucket - HISTOGRAM / 2 : bucket) << shift;
            int left = ALL.get(INT, scratch + 4L * bucket);
            if (shift > 0) {
                narrow(from, count, shift, bits, candidatesAt);
                from = candidatesAt;
            }
            count = left;
        }
        return (long) bits << 32 | (want == count ? ALL_EQUALS : want);
    }

    /** Bits of |x * c|. */
    private static void magnitudes(long x, long c, int n, long keysAt) {
        int whole = F.loopBound(n);
        int j = 0;
        for (; j < whole; j += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * j, LE);
            if (c != 0) {
                value = value.mul(FloatVector.fromMemorySegment(F, ALL, c + 4L * j, LE));
            }
            value.reinterpretAsInts().and(0x7fffffff).intoMemorySegment(ALL, keysAt + 4L * j, LE);
        }
        for (; j < n; j++) {
            float value = ALL.get(FLOAT, x + 4L * j) * (c == 0 ? 1f : ALL.get(FLOAT, c + 4L * j));
            ALL.set(INT, keysAt + 4L * j, Float.floatToRawIntBits(value) & 0x7fffffff);
        }
    }

    /** Integers of the order of the numbers: of a negative one all bits but its sign are turned. */
    private static void ordered(long x, int n, long keysAt) {
        int whole = F.loopBound(n);
        for (int j = 0; j < whole; j += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * j, LE);
            IntVector bits = value.reinterpretAsInts();
            IntVector turned = bits.lanewise(VectorOperators.ASHR, 31).and(0x7fffffff);
            VectorMask<Integer> nan = bits.and(0x7fffffff).compare(VectorOperators.GT, 0x7f800000);
            bits.lanewise(VectorOperators.XOR, turned)
                    .blend(Integer.MAX_VALUE, nan)
                    .intoMemorySegment(ALL, keysAt + 4L * j, LE);
        }
        for (int j = whole; j < n; j++) {
            float value = ALL.get(FLOAT, x + 4L * j);
            int bits = Float.floatToRawIntBits(value);
            ALL.set(INT, keysAt + 4L * j, Float.isNaN(value) ? Integer.MAX_VALUE : bits ^ (bits >> 31 & 0x7fffffff));
        }
    }

    /** Of the first twelve bits, whose first is the sign, or of the ten from {@code shift} up. */
    private static void histogram(long histogramAt, long from, int count, int shift) {
        Lanes.zero(histogramAt, shift == 20 ? HISTOGRAM : 1024);
        int mask = shift == 20 ? -1 : 1023;
        int add = shift == 20 ? HISTOGRAM / 2 : 0;
        for (int j = 0; j < count; j++) {
            long at = histogramAt + 4L * ((ALL.get(INT, from + 4L * j) >> shift & mask) + add);
            ALL.set(INT, at, ALL.get(INT, at) + 1);
        }
    }

    /** Copies the keys whose bits from {@code shift} up are those of {@code bits}; may work in place. */
    private static void narrow(long from, int count, int shift, int bits, long to) {
        int wanted = bits >> shift;
        int kept = 0;
        for (int j = 0; j < count; j++) {
            int key = ALL.get(INT, from + 4L * j);
            ALL.set(INT, to + 4L * kept, key);
            kept += key >> shift == wanted ? 1 : 0;
        }
    }

    /** The keys that are at least {@code least}. */
    private static int above(long keysAt, int n, int least, long index) {
        int kept = 0;
        int j = 0;
        if (Selection.FAST_COMPRESS) {
            int whole = F.loopBound(n);
            for (; j < whole; j += COUNT) {
                VectorMask<Integer> keep =
                        IntVector.fromMemorySegment(I, ALL, keysAt + 4L * j, LE).compare(VectorOperators.GE, least);
                IOTA.add(j).compress(keep).intoMemorySegment(ALL, index + 4L * kept, LE);
                kept += keep.trueCount();
            }
        }
        for (; j < n; j++) {
            ALL.set(INT, index + 4L * kept, j);
            kept += ALL.get(INT, keysAt + 4L * j) >= least ? 1 : 0;
        }
        return kept;
    }

    /** The keys above {@code least} and the first {@code equals} of those equal to it. */
    @SuppressWarnings("ShortCircuitBoolean") // without branches: they would be mispredicted
    private static int aboveOrFirstEqual(long keysAt, int n, int least, int equals, long index) {
        int kept = 0;
        for (int j = 0; j < n; j++) {
            int key = ALL.get(INT, keysAt + 4L * j);
            ALL.set(INT, index + 4L * kept, j);
            int equal = key == least & equals > 0 ? 1 : 0;
            equals -= equal;
            kept += (key > least ? 1 : 0) + equal;
        }
        return kept;
    }
}
