package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * Single keys and values of many pages: first noted, then brought together in one page of each, as pages lie, up to {@value
 * KvShape#PAGE_ROWS} at a time.
 *
 * <p>Rows are read before they are copied, many at once or while others are computed with. A copy at once is a chain: a load whose address
 * has the lowest twelve bits of a store that still waits for its data waits with it, and of 64 rows of 256 bytes one in two meets such a
 * store.
 *
 * <p>Scratch: a page of keys, one of values, what was read, the offsets of lines to read {@code I64 [lines]}, and of each noted key its offset
 * in the pool {@code I64 [keys]} and its place in the sequence {@code I32 [keys]}.
 */
final class KeyGather {

    private static final long LINE = 64;

    private final KvShape shape;
    private final long rowBytes;
    private final boolean scaled;
    private final int lines;
    private final long valuesAt;
    private final long seenAt;
    private final long linesAt;
    private final long offsetsAt;
    private final long placesAt;
    private final long bytes;

    /** @param lines as many as {@link RowAttention#linesRead} */
    KeyGather(KvShape shape, int lines) {
        this.shape = shape;
        this.scaled = shape.dtype() == DType.I8;
        this.rowBytes = shape.dtype().bytes(shape.headDim());
        // Rows that are no whole number of lines have more of them than pages have.
        this.lines = Math.toIntExact(Math.max(lines, KvShape.PAGE_ROWS * Math.ceilDiv(rowBytes, LINE)));
        this.valuesAt = Tensor.align(shape.pageBytes()) + Tensor.ALIGNMENT; // no multiple of 4 KiB
        this.seenAt = 2 * valuesAt;
        this.linesAt = seenAt + Tensor.ALIGNMENT;
        this.offsetsAt = linesAt + 8L * lines;
        long most = (long) shape.pagesPerHead() * KvShape.PAGE_ROWS;
        this.placesAt = offsetsAt + 8 * most;
        this.bytes = placesAt + 4 * most;
    }

    long scratchBytes() {
        return bytes;
    }

    /** Where the page of keys is. */
    long keys(long scratch) {
        return scratch;
    }

    /** Where the page of values is. */
    long values(long scratch) {
        return scratch + valuesAt;
    }

    /** Where in the sequence noted key {@code i} lies. */
    int place(int i, long scratch) {
        return ALL.get(INT, scratch + placesAt + 4L * i);
    }

    /**
     * Notes row {@code row} of page {@code page} of the head.
     *
     * @param pageAt the byte of the pools where the page begins
     * @param i how many are noted already
     */
    void note(long pageAt, int page, int row, int i, long scratch) {
        ALL.set(LONG, scratch + offsetsAt + 8L * i, pageAt + rowBytes * row);
        ALL.set(INT, scratch + placesAt + 4L * i, page * KvShape.PAGE_ROWS + row);
    }

    /** Reads a word of each line of the noted keys {@code from} to {@code from + count}. */
    void read(int from, int count, MemorySegment keys, MemorySegment values, long scratch) {
        long offsets = scratch + offsetsAt + 8L * from;
        ALL.set(INT, scratch + seenAt, read(offsets, count, rowBytes, keys.address(), values.address()));
    }

    private static int read(long offsets, int count, long rowBytes, long keys, long values) {
        int seen = 0;
        for (int i = 0; i < count; i++) {
            long row = ALL.get(LONG, offsets + 8L * i);
            for (long line = row; line < row + rowBytes; line += LINE) {
                seen ^= ALL.get(INT, keys + line) ^ ALL.get(INT, values + line);
            }
        }
        return seen;
    }

    /** The offsets of their lines, for {@link RowAttention#readNext}. */
    long lines(int from, int count, long scratch) {
        long to = scratch + linesAt;
        long end = to + 8L * lines;
        for (int i = 0; i < count; i++) {
            long row = ALL.get(LONG, scratch + offsetsAt + 8L * (from + i));
            for (long line = row; line < row + rowBytes; line += LINE) {
                ALL.set(LONG, to, line);
                to += 8;
            }
        }
        for (; to < end; to += 8) {
            ALL.set(LONG, to, 0);
        }
        return scratch + linesAt;
    }

    /** Copies the noted keys {@code from} to {@code from + count}, and their values. */
    void collect(int from, int count, MemorySegment keys, MemorySegment values, long scratch) {
        for (int i = 0; i < count; i++) {
            long offset = ALL.get(LONG, scratch + offsetsAt + 8L * (from + i));
            int row = place(from + i, scratch) % KvShape.PAGE_ROWS;
            copy(keys.address() + offset, row, keys(scratch), i);
            copy(values.address() + offset, row, values(scratch), i);
        }
    }

    private void copy(long address, int row, long to, int at) {
        Lanes.copy(address, to + rowBytes * at, rowBytes);
        if (scaled) {
            long page = address - rowBytes * row;
            ALL.set(INT, to + shape.scaleAt(0, at), ALL.get(INT, page + shape.scaleAt(0, row)));
        }
    }
}
