package ai.winnow.kv;

import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Prunes pages and packs what is left. Of a row the magnitude of rank {@link KvPacking#threshold} is the threshold, and what is as great is
 * kept, so that of equals none is pruned; NaN counts as the greatest. What is zero, of either sign, takes no room. Not thread-safe.
 */
public final class PagePacker {

    private static final int ROWS = KvShape.PAGE_ROWS;
    private static final ValueLayout.OfLong WORD = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final int MAGNITUDE = Integer.MAX_VALUE;
    private static final int INFINITY = 0x7f80_0000;

    private final PackedFormat format;
    private final KvShape shape;
    private final int width;

    /** Bits of the rows {@code [64, headDim]} as f32; of what is pruned 0. */
    private final int[] keys;

    private final int[] values;
    private final int[] magnitudes;
    private final float[] numbers;

    public PagePacker(PackedFormat format) {
        this.format = format;
        this.shape = format.shape();
        this.width = shape.headDim();
        this.keys = new int[ROWS * width];
        this.values = new int[ROWS * width];
        this.magnitudes = new int[width];
        this.numbers = new float[ROWS * width];
    }

    /**
     * Packs page {@code page} of the pools {@code keyPool} and {@code valuePool} into page {@code to} of {@code packed}, if what is kept of it
     * fits: it always does where no two magnitudes of a row are equal.
     *
     * @return whether it did; if not, nothing was written
     */
    public boolean pack(MemorySegment keyPool, MemorySegment valuePool, int page, MemorySegment packed, int to) {
        KvPacking packing = format.packing();
        if (prune(keyPool, page, packing.keySparsity(), keys) > format.keyRoom()
                || prune(valuePool, page, packing.valueSparsity(), values) > format.valueRoom()) {
            return false;
        }
        long base = to * format.bytes();
        long at = base + format.keyNumbers();
        for (int channel = 0; channel < width; channel++) {
            at = tile(keys, channel, width, ROWS, packed, base + format.keyMask(channel), at);
        }
        at = base + format.valueNumbers();
        for (int segment = 0; segment < format.segments(); segment++) {
            int first = segment * Long.SIZE;
            int count = Math.min(Long.SIZE, width - first);
            for (int row = 0; row < ROWS; row++) {
                at = tile(values, row * width + first, 1, count, packed, base + format.valueMask(segment, row), at);
            }
        }
        return true;
    }

    /** Writes {@code count} numbers that lie {@code step} apart as a tile; returns where the next number goes. */
    private long tile(int[] rows, int first, int step, int count, MemorySegment packed, long maskAt, long from) {
        long mask = 0;
        long at = from;
        for (int i = 0; i < count; i++) {
            int bits = rows[first + i * step];
            if (bits != 0) {
                mask |= 1L << i;
                at += put(packed, at, bits);
            }
        }
        packed.set(WORD, maskAt, mask);
        return at;
    }

    private long put(MemorySegment packed, long at, int bits) {
        if (shape.dtype() == DType.F32) {
            packed.set(ValueLayout.JAVA_INT_UNALIGNED, at, bits);
            return Integer.BYTES;
        }
        packed.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, (short) (bits >>> Short.SIZE));
        return Short.BYTES;
    }

    /** Reads the rows of a page and prunes them; how many numbers are left. */
    private int prune(MemorySegment pool, int page, float sparsity, int[] rows) {
        int left = 0;
        for (int row = 0; row < ROWS; row++) {
            long from = shape.rowAt(page, row);
            for (int d = 0; d < width; d++) {
                rows[row * width + d] = bits(pool, from + d);
            }
            left += prune(rows, row * width, sparsity);
        }
        return left;
    }

    private int bits(MemorySegment pool, long element) {
        return shape.dtype() == DType.F32
                ? pool.get(ValueLayout.JAVA_INT_UNALIGNED, Integer.BYTES * element)
                : pool.get(ValueLayout.JAVA_SHORT_UNALIGNED, Short.BYTES * element) << Short.SIZE;
    }

    private int prune(int[] rows, int first, float sparsity) {
        for (int d = 0; d < width; d++) {
            // As numbers without a sign, bits ascend as magnitudes do; what is not a number is the greatest.
            magnitudes[d] = Math.min(rows[first + d] & MAGNITUDE, INFINITY + 1);
        }
        int threshold = ranked(magnitudes, width, KvPacking.threshold(sparsity, width));
        int left = 0;
        for (int d = 0; d < width; d++) {
            boolean kept = magnitudes[d] >= threshold && magnitudes[d] != 0;
            rows[first + d] = kept ? rows[first + d] : 0;
            left += kept ? 1 : 0;
        }
        return left;
    }

    /** The number of rank {@code rank}, from 1, of those that are not negative: bit by bit, in loops that need no branch. */
    private static int ranked(int[] numbers, int count, int rank) {
        int found = 0;
        for (int bit = 1 << 30; bit != 0; bit >>>= 1) {
            int least = found | bit;
            int below = 0;
            for (int i = 0; i < count; i++) {
                below += (numbers[i] - least) >>> 31;
            }
            found = below < rank ? least : found;
        }
        return found;
    }

    /** Writes the rows of packed page {@code from}, with zeros where they were pruned, to page {@code page} of the two pools. */
    public void unpack(MemorySegment packed, int from, MemorySegment keyPool, MemorySegment valuePool, int page) {
        format.readKeys(packed, from, numbers);
        put(keyPool, page);
        format.readValues(packed, from, numbers);
        put(valuePool, page);
    }

    private void put(MemorySegment pool, int page) {
        long first = shape.rowAt(page, 0);
        for (int i = 0; i < numbers.length; i++) {
            int bits = Float.floatToRawIntBits(numbers[i]);
            if (shape.dtype() == DType.F32) {
                pool.set(ValueLayout.JAVA_INT_UNALIGNED, Integer.BYTES * (first + i), bits);
            } else {
                pool.set(ValueLayout.JAVA_SHORT_UNALIGNED, Short.BYTES * (first + i), (short) (bits >>> Short.SIZE));
            }
        }
    }
}
