package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Where a packed page has what: the {@value KvShape#PAGE_ROWS} keys and values of a page of {@code shape}, without zeros, in a fixed number of bytes.
 * Numbers lie in tiles of 64, each with a word that says which of them are not zero, lowest bit first; those follow one another in the order of their
 * tiles. In this order:
 *
 * <ol>
 *   <li>a word for each channel of the keys: a tile is one channel of 64 tokens
 *   <li>a word for each 64 channels and each token of the values: a tile is 64 channels of one token; all tokens of the first 64 channels come first
 *   <li>the keys' numbers, in the cache's type, and room to the end of their part
 *   <li>the values' numbers, likewise, and room for a vector that is read beyond the last
 * </ol>
 *
 * <p>After Joo et al. 2025, section 3; there the highest bit comes first, tiles are padded and an index says where each begins.
 *
 * @param shape of the cache, of F32 or BF16
 */
public record PackedFormat(KvShape shape, KvPacking packing) {

    /** How the pool of packed pages is named among the inputs of graphs. */
    public static final String INPUT = "kv.packed";

    /** The extent of that pool. */
    public static final String POOL = "kv.packed.pool";

    private static final int ALIGNMENT = 64;
    private static final ValueLayout.OfLong WORD = ValueLayout.JAVA_LONG_UNALIGNED;

    public PackedFormat {
        DType type = shape.dtype();
        Inference.require(
                type == DType.F32 || type == DType.BF16,
                () -> "keys and values are packed as F32 or BF16, not as " + type
                        + ": there a number means nothing without the scale of its row; load the model with another type of cache");
    }

    /** Tiles of a value. */
    public int segments() {
        return (shape.headDim() + Long.SIZE - 1) / Long.SIZE;
    }

    /** Tiles of a page. */
    public int tiles() {
        return shape.headDim() + segments() * KvShape.PAGE_ROWS;
    }

    /** The word of channel {@code channel} of the keys. */
    public long keyMask(int channel) {
        return (long) Long.BYTES * channel;
    }

    /** The word of channels {@code 64 * segment} and on of value {@code row}. */
    public long valueMask(int segment, int row) {
        return Long.BYTES * (shape.headDim() + (long) segment * KvShape.PAGE_ROWS + row);
    }

    /** Where the keys' numbers begin. */
    public long keyNumbers() {
        return (long) Long.BYTES * tiles();
    }

    /** Where the values' numbers begin. */
    public long valueNumbers() {
        return keyNumbers() + shape.dtype().bytes(room(packing.keySparsity()));
    }

    /** How many numbers of the keys of a page there is room for: as many as are kept if no two magnitudes of a row are equal. */
    public int keyRoom() {
        return room(packing.keySparsity());
    }

    /** The same of values. */
    public int valueRoom() {
        return room(packing.valueSparsity());
    }

    private int room(float sparsity) {
        int width = shape.headDim();
        int kept = KvShape.PAGE_ROWS * KvPacking.kept(sparsity, width);
        // With 8 bits of significance about every third row of 128 has a tie at its threshold.
        int ties = shape.dtype() == DType.BF16 ? KvShape.PAGE_ROWS * (1 + width / 128) : 0;
        return Math.min(KvShape.PAGE_ROWS * width, kept + ties);
    }

    /** Bytes of a packed page. */
    public long bytes() {
        long end = valueNumbers() + shape.dtype().bytes(valueRoom()) + ALIGNMENT;
        return (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /** Bytes of a packed page that are read. */
    public long used(MemorySegment pool, int page) {
        long count = 0;
        for (int tile = 0; tile < tiles(); tile++) {
            count += Long.bitCount(pool.get(WORD, page * bytes() + (long) Long.BYTES * tile));
        }
        return keyNumbers() + shape.dtype().bytes(count);
    }

    /** What a graph takes: {@code I8 [pages, bytes]}. */
    public TensorSpec spec() {
        return TensorSpec.rows(DType.I8, new Dim.AtMost(Integer.MAX_VALUE, POOL), bytes());
    }

    /** The pool of packed pages as an input of the graph that {@code builder} records; the same value each time. */
    public Value declare(GraphBuilder builder) {
        return builder.sharedInput(INPUT, spec());
    }

    /** The number in the page table of a head that stands for packed page {@code page}, and the other way round; it is negative. */
    public static int entry(int page) {
        return ~page;
    }

    /** The keys of packed page {@code page} as {@code rows [64, headDim]}. */
    public void readKeys(MemorySegment pool, int page, float[] rows) {
        long base = page * bytes();
        long number = base + keyNumbers();
        int width = shape.headDim();
        Arrays.fill(rows, 0);
        for (int channel = 0; channel < width; channel++) {
            for (long rest = pool.get(WORD, base + keyMask(channel)); rest != 0; rest &= rest - 1) {
                rows[Long.numberOfTrailingZeros(rest) * width + channel] = number(pool, number);
                number += shape.dtype().bytes(1);
            }
        }
    }

    /** The values of packed page {@code page} as {@code rows [64, headDim]}. */
    public void readValues(MemorySegment pool, int page, float[] rows) {
        long base = page * bytes();
        long number = base + valueNumbers();
        int width = shape.headDim();
        Arrays.fill(rows, 0);
        for (int segment = 0; segment < segments(); segment++) {
            for (int row = 0; row < KvShape.PAGE_ROWS; row++) {
                for (long rest = pool.get(WORD, base + valueMask(segment, row)); rest != 0; rest &= rest - 1) {
                    rows[row * width + segment * Long.SIZE + Long.numberOfTrailingZeros(rest)] = number(pool, number);
                    number += shape.dtype().bytes(1);
                }
            }
        }
    }

    private float number(MemorySegment pool, long at) {
        return shape.dtype() == DType.F32
                ? pool.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at)
                : Float.intBitsToFloat(pool.get(ValueLayout.JAVA_SHORT_UNALIGNED, at) << Short.SIZE);
    }
}
