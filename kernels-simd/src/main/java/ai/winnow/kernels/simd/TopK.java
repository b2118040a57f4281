package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * The k inputs of largest |x| * c as an ascending int32 list; ties go to the lower index and NaN ranks above infinity, so it is never dropped.
 *
 * <p>Radix select on the bits of the non-negative floats, 11 + 10 + 10 bits: one pass over all keys, then two over the few candidates that share
 * the bits of the k-th. Scratch (native): {@link #scratchBytes}.
 */
public final class TopK {

    private static final int HISTOGRAM = 2048;

    private static final IntVector IOTA = IntVector.zero(I).addIndex(1);

    private TopK() {}

    /** Bytes of scratch for n inputs: histogram, keys, candidates. */
    public static long scratchBytes(int n) {
        return 4L * (HISTOGRAM + 2L * (n + Selection.SLACK + COUNT));
    }

    /** Writes k indices (plus slack) to {@code index}. {@code c} may be null; returns min(k, n). */
    public static int select(
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment c,
            long cAt,
            int n,
            int k,
            MemorySegment scratch,
            long scratchAt,
            MemorySegment index,
            long indexAt) {
        if (k >= n) {
            return Selection.all(n, index, indexAt);
        }
        if (k <= 0) {
            return 0;
        }
        long keysAt = scratchAt + 4L * HISTOGRAM;
        long candidatesAt = keysAt + 4L * (n + Selection.SLACK + COUNT);
        keys(x, xAt, c, cAt, n, scratch, keysAt);
        // The k-th largest key, ten or eleven bits at a time; want = its rank among the keys that share the bits found
        // so far.
        int want = k;
        int bits = 0;
        long from = keysAt;
        int count = n;
        for (int shift = 20; shift >= 0; shift -= 10) {
            histogram(scratch, scratchAt, from, count, shift);
            int bucket = HISTOGRAM - 1;
            for (int size; (size = scratch.get(INT, scratchAt + 4L * bucket)) < want; bucket--) {
                want -= size;
            }
            bits |= bucket << shift;
            int left = scratch.get(INT, scratchAt + 4L * bucket);
            if (shift > 0) {
                narrow(scratch, from, count, shift, bits, candidatesAt);
                from = candidatesAt;
                count = left;
            } else {
                count = left;
            }
        }
        return want == count
                ? above(scratch, keysAt, n, bits, index, indexAt)
                : aboveOrFirstEqual(scratch, keysAt, n, bits, want, index, indexAt);
    }

    /** Bits of |x * c|. */
    private static void keys(
            MemorySegment x, long xAt, @Nullable MemorySegment c, long cAt, int n, MemorySegment scratch, long keysAt) {
        int whole = F.loopBound(n);
        int j = 0;
        for (; j < whole; j += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, x, xAt + 4L * j, LE);
            if (c != null) {
                value = value.mul(FloatVector.fromMemorySegment(F, c, cAt + 4L * j, LE));
            }
            value.reinterpretAsInts().and(0x7fffffff).intoMemorySegment(scratch, keysAt + 4L * j, LE);
        }
        for (; j < n; j++) {
            float value = x.get(FLOAT, xAt + 4L * j) * (c == null ? 1f : c.get(FLOAT, cAt + 4L * j));
            scratch.set(INT, keysAt + 4L * j, Float.floatToRawIntBits(value) & 0x7fffffff);
        }
    }

    private static void histogram(MemorySegment scratch, long histogramAt, long from, int count, int shift) {
        Lanes.zero(scratch, histogramAt, HISTOGRAM);
        int mask = shift == 20 ? 2047 : 1023;
        for (int j = 0; j < count; j++) {
            long at = histogramAt + 4L * (scratch.get(INT, from + 4L * j) >>> shift & mask);
            scratch.set(INT, at, scratch.get(INT, at) + 1);
        }
    }

    /** Copies the keys whose bits from {@code shift} up are those of {@code bits}; may work in place. */
    private static void narrow(MemorySegment scratch, long from, int count, int shift, int bits, long to) {
        int wanted = bits >>> shift;
        int kept = 0;
        for (int j = 0; j < count; j++) {
            int key = scratch.get(INT, from + 4L * j);
            scratch.set(INT, to + 4L * kept, key);
            kept += key >>> shift == wanted ? 1 : 0;
        }
    }

    /** The keys that are at least {@code least}. */
    private static int above(MemorySegment scratch, long keysAt, int n, int least, MemorySegment index, long indexAt) {
        int kept = 0;
        int j = 0;
        if (Selection.FAST_COMPRESS) {
            int whole = F.loopBound(n);
            for (; j < whole; j += COUNT) {
                VectorMask<Integer> keep = IntVector.fromMemorySegment(I, scratch, keysAt + 4L * j, LE)
                        .compare(VectorOperators.GE, least);
                IOTA.add(j).compress(keep).intoMemorySegment(index, indexAt + 4L * kept, LE);
                kept += keep.trueCount();
            }
        }
        for (; j < n; j++) {
            index.set(INT, indexAt + 4L * kept, j);
            kept += scratch.get(INT, keysAt + 4L * j) >= least ? 1 : 0;
        }
        return kept;
    }

    /** The keys above {@code least} and the first {@code equals} of those equal to it. */
    @SuppressWarnings("ShortCircuitBoolean") // without branches: they would be mispredicted
    private static int aboveOrFirstEqual(
            MemorySegment scratch, long keysAt, int n, int least, int equals, MemorySegment index, long indexAt) {
        int kept = 0;
        for (int j = 0; j < n; j++) {
            int key = scratch.get(INT, keysAt + 4L * j);
            index.set(INT, indexAt + 4L * kept, j);
            int equal = key == least & equals > 0 ? 1 : 0;
            equals -= equal;
            kept += (key > least ? 1 : 0) + equal;
        }
        return kept;
    }
}
