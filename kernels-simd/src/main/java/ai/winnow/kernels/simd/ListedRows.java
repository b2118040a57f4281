package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvShape;
import ai.winnow.ir.SparseAttention;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Some rows of one sequence over the keys of one list, with the query heads that share it. A page of which the rows see all that is there
 * is taken where it lies, exactly as by {@link AttentionKernel}; single keys are collected first. Traffic: the keys and values of the list.
 */
final class ListedRows {

    /** Rows of a sequence from which on packing its keys for all of them pays. */
    private static final int TILED_ROWS = 4;

    private final int window;
    private final KvShape shape;
    private final KeyGather gather;
    private final RowAttention single;
    private final @Nullable TileAttention tiled;
    private final long gatherAt;
    private final long bytes;

    ListedRows(SparseAttention op) {
        this.window = op.attention().window();
        this.shape = op.keys().shape();
        this.single = new RowAttention(op.attention(), op.group());
        this.gather = new KeyGather(shape, single.linesRead());
        int rows = op.keys().tileRows();
        int most = TileAttention.mostRows(op.group());
        int pieces = (rows + most - 1) / most;
        this.tiled = rows >= TILED_ROWS && TileAttention.takes(shape.headDim())
                ? new TileAttention(op.attention(), op.group(), (rows + pieces - 1) / pieces)
                : null;
        this.gatherAt = Math.max(single.scratchBytes(), tiled == null ? 0 : tiled.scratchBytes());
        this.bytes = gatherAt + gather.scratchBytes();
    }

    long scratchBytes() {
        return bytes;
    }

    /** Rows that are computed together, of a tile that has {@code rows} of them. */
    int step(int rows) {
        return tiled != null && rows >= TILED_ROWS ? tiled.rows() : 1;
    }

    /**
     * Attends with {@code rows} rows.
     *
     * @param query address of the first row's query heads, those of this list; rows lie {@code rowBytes} apart
     * @param out address of the same heads of the result
     * @param end where what the first row sees ends; each other row sees one more
     * @param pages address of the list's first page number
     * @param masks address of the list's first mask
     * @param count pages of the list
     * @param table address of the first entry of the head's pages
     */
    void attend(
            long query,
            long out,
            long rowBytes,
            int rows,
            int end,
            long pages,
            long masks,
            int count,
            long table,
            MemorySegment keys,
            MemorySegment values,
            long scratch) {
        boolean one = tiled == null || rows == 1;
        if (one) {
            single.start(query, scratch);
        } else {
            Objects.requireNonNull(tiled).start(query, rowBytes, rows, scratch);
        }
        int begin = window > 0 ? Math.max(0, end - window) : 0;
        int noted = 0;
        boolean read = false; // whether the next page was read while the last was computed with
        for (int i = 0; i < count; i++) {
            int page = Objects.checkIndex(ALL.get(INT, pages + 4L * i), shape.pagesPerHead());
            long seen = seen(page, begin, end + rows - 1);
            long mask = ALL.get(LONG, masks + 8L * i) & seen;
            if (mask == 0) {
                continue;
            }
            long k = address(keys, table, page);
            long v = address(values, table, page);
            if (mask != seen) {
                long pageAt = k - keys.address();
                for (; mask != 0; mask &= mask - 1) {
                    gather.note(pageAt, page, Long.numberOfTrailingZeros(mask), noted++, scratch + gatherAt);
                }
            } else if (one) {
                if (!read) {
                    single.readAhead(k, v, scratch);
                }
                single.readNone(k, v, scratch);
                read = readNext(i + 1, count, begin, end, pages, masks, table, keys, values, scratch);
                int from = Long.numberOfTrailingZeros(seen);
                single.take(k, v, from, KvShape.PAGE_ROWS - Long.numberOfLeadingZeros(seen), scratch);
            } else {
                Objects.requireNonNull(tiled).whole(k, v, page, rows, end, scratch);
            }
        }
        if (one) {
            takeNoted(noted, keys, values, scratch);
            single.finish(out, scratch);
        } else {
            takeNoted(noted, rows, end, keys, values, scratch);
            Objects.requireNonNull(tiled).finish(out, rowBytes, rows, scratch);
        }
    }

    /** Single keys with one row: the next are read while some are computed with. */
    private void takeNoted(int noted, MemorySegment keys, MemorySegment values, long scratch) {
        long at = scratch + gatherAt;
        gather.read(0, Math.min(noted, KvShape.PAGE_ROWS), keys, values, at);
        for (int from = 0; from < noted; from += KvShape.PAGE_ROWS) {
            int count = Math.min(KvShape.PAGE_ROWS, noted - from);
            gather.collect(from, count, keys, values, at);
            int next = Math.min(KvShape.PAGE_ROWS, noted - from - count);
            if (next > 0) {
                single.readNext(gather.lines(from + count, next, at), keys, values, scratch);
            } else {
                single.readNone(gather.keys(at), gather.values(at), scratch);
            }
            single.take(gather.keys(at), gather.values(at), 0, count, scratch);
        }
    }

    /** Single keys with the rows of a tile. */
    private void takeNoted(int noted, int rows, int end, MemorySegment keys, MemorySegment values, long scratch) {
        long at = scratch + gatherAt;
        for (int from = 0; from < noted; from += KvShape.PAGE_ROWS) {
            int count = Math.min(KvShape.PAGE_ROWS, noted - from);
            gather.read(from, count, keys, values, at);
            gather.collect(from, count, keys, values, at);
            takeCollected(from, count, rows, end, scratch);
        }
    }

    /** Lets the page of entry {@code i} be read meanwhile, if there is one that will be taken where it lies. */
    private boolean readNext(
            int i,
            int count,
            int begin,
            int end,
            long pages,
            long masks,
            long table,
            MemorySegment keys,
            MemorySegment values,
            long scratch) {
        if (i < count) {
            int page = Objects.checkIndex(ALL.get(INT, pages + 4L * i), shape.pagesPerHead());
            long seen = seen(page, begin, end);
            if (seen != 0 && (ALL.get(LONG, masks + 8L * i) & seen) == seen) {
                single.readNext(address(keys, table, page), address(values, table, page), scratch);
                return true;
            }
        }
        return false;
    }

    /** Those in the gather's pages, which were noted from {@code first} on: each row sees a stretch of them. */
    private void takeCollected(int first, int count, int rows, int end, long scratch) {
        long at = scratch + gatherAt;
        TileAttention tile = Objects.requireNonNull(tiled);
        int from = 0;
        int to = 0;
        for (int row = 0; row < rows; row++) {
            int begin = window > 0 ? end + row - window : 0;
            while (from < count && gather.place(first + from, at) < begin) {
                from++;
            }
            while (to < count && gather.place(first + to, at) < end + row) {
                to++;
            }
            tile.see(row, from, to, scratch);
        }
        tile.take(gather.keys(at), gather.values(at), count, rows, scratch);
    }

    /** Bits of the rows of a page that lie in {@code begin} to {@code end} of the sequence. */
    static long seen(int page, int begin, int end) {
        int start = page * KvShape.PAGE_ROWS;
        int from = Math.max(0, begin - start);
        int to = Math.min(KvShape.PAGE_ROWS, end - start);
        return from < to ? -1L >>> (KvShape.PAGE_ROWS - to + from) << from : 0;
    }

    private long address(MemorySegment pool, long table, int page) {
        long index = ALL.get(INT, table + 4L * page);
        return Memory.address(pool, index * shape.pageBytes(), shape.pageBytes());
    }
}
