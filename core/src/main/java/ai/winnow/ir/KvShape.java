package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The shape of a paged cache of keys and values. A page holds {@value #PAGE_ROWS} rows {@code [headDim]} of one (sequence,
 * layer, key-value head), so that one head can drop its pages without the others.
 *
 * <p>A page of I8 holds its rows and behind them {@value #PAGE_ROWS} f32 scales, one a row: a number is its element times the scale
 * of its row, as an f32. See {@link #put}.
 */
public record KvShape(int layers, int heads, int headDim, int slots, int contextLength, DType dtype) {

    /** Rows of a page. */
    public static final int PAGE_ROWS = 64;

    /** The greatest element of a row of I8. */
    private static final float GREATEST = 127;

    public KvShape {
        if (layers < 0 || heads < 1 || headDim < 1 || slots < 1 || contextLength < 1) {
            throw new ShapeException("not the shape of a cache: " + layers + " layers, " + heads + " heads of "
                    + headDim + ", " + slots + " slots of " + contextLength);
        }
        requireType(dtype);
    }

    /** @throws ShapeException if keys and values cannot be cached as {@code type} */
    public static void requireType(DType type) {
        if (type != DType.F32 && type != DType.BF16 && type != DType.I8) {
            throw new ShapeException("keys and values are cached as F32, BF16 or I8, not " + type);
        }
    }

    /** Entries that the page table has for one (sequence, layer, head). */
    public int pagesPerHead() {
        return (contextLength + PAGE_ROWS - 1) / PAGE_ROWS;
    }

    /** Elements that a row takes of its page: with I8, four more than it has, for its scale. */
    public int rowElements() {
        return dtype == DType.I8 ? headDim + Float.BYTES : headDim;
    }

    /** Elements of one page of keys (a page of values has as many). */
    public long pageElements() {
        return (long) PAGE_ROWS * rowElements();
    }

    /** Bytes of one page of keys (a page of values has as many). */
    public long pageBytes() {
        return dtype.bytes(pageElements());
    }

    /** Index of (slot, layer, head) among all heads of all sequences; of its length in the table of lengths. */
    public int headIndex(int slot, int layer, int head) {
        return (slot * layers + layer) * heads + head;
    }

    /** Index in the page table of the first page of (slot, layer, head). */
    public long tableIndex(int slot, int layer, int head) {
        return (long) headIndex(slot, layer, head) * pagesPerHead();
    }

    /** The element of a pool where row {@code row} of page {@code page} begins. */
    public long rowAt(int page, int row) {
        return page * pageElements() + (long) row * headDim;
    }

    /** The byte of a pool of I8 where the scale of row {@code row} of page {@code page} lies. */
    public long scaleAt(int page, int row) {
        return page * pageBytes() + (long) PAGE_ROWS * headDim + (long) row * Float.BYTES;
    }

    /** Number {@code at} of row {@code row} of page {@code page}. */
    public float get(MemorySegment pool, int page, int row, int at) {
        float element = dtype.getFloat(pool, rowAt(page, row) + at);
        return dtype == DType.I8 ? element * pool.get(ValueLayout.JAVA_FLOAT_UNALIGNED, scaleAt(page, row)) : element;
    }

    /**
     * Writes row {@code row} of page {@code page}. With I8 its scale becomes its greatest magnitude divided by 127, and an element the
     * number divided by the scale, rounded half to even, at most 127 either way; where the scale is 0, so are the elements. A row that
     * is not finite gets the scale NaN.
     *
     * @param from the element of {@code numbers}, of F32, where the row begins
     */
    public void put(MemorySegment pool, int page, int row, MemorySegment numbers, long from) {
        long to = rowAt(page, row);
        float scale = 1;
        if (dtype == DType.I8) {
            scale = scale(numbers, from);
            pool.set(ValueLayout.JAVA_FLOAT_UNALIGNED, scaleAt(page, row), scale);
        }
        for (int d = 0; d < headDim; d++) {
            float x = DType.F32.getFloat(numbers, from + d);
            dtype.setFloat(pool, to + d, dtype == DType.I8 ? element(x, scale) : x);
        }
    }

    private float scale(MemorySegment numbers, long from) {
        float greatest = 0;
        for (int d = 0; d < headDim; d++) {
            greatest = Math.max(greatest, Math.abs(DType.F32.getFloat(numbers, from + d)));
        }
        return Float.isFinite(greatest) ? greatest / GREATEST : Float.NaN;
    }

    private static float element(float x, float scale) {
        // A scale among the smallest numbers is so coarse that a quotient may be beyond 127.
        return scale > 0 ? (float) Math.rint(Math.clamp(x / scale, -GREATEST, GREATEST)) : 0;
    }
}
