package ai.winnow.kv;

import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** How many rows of each head of a cache have been packed, and the packing of those that are due. */
final class PackedRows {

    private final @Nullable KvPacking packing;
    private final KvPool pool;
    private final MemorySegment table;
    private final int pagesPerHead;

    /** Rows of each head that are packed, or were found not to fit; whole pages. */
    private final int[] rows;

    /**
     * @param packing null if nothing is packed
     * @param table the cache's page table
     */
    PackedRows(KvShape shape, @Nullable KvPacking packing, KvPool pool, MemorySegment table) {
        this.packing = packing;
        this.pool = pool;
        this.table = table;
        this.pagesPerHead = shape.pagesPerHead();
        this.rows = new int[shape.slots() * shape.layers() * shape.heads()];
    }

    /** Packs what is due of a head that has {@code length} rows. */
    void pack(int head, int length) {
        if (packing == null) {
            return;
        }
        int end = packing.due(length);
        for (; rows[head] < end; rows[head] += KvShape.PAGE_ROWS) {
            long entry = entry(head, rows[head] / KvShape.PAGE_ROWS);
            int page = table.getAtIndex(ValueLayout.JAVA_INT, entry);
            if (page >= 0) {
                if (!pool.canPack(page)) {
                    return;
                }
                table.setAtIndex(ValueLayout.JAVA_INT, entry, pool.pack(page));
            }
        }
    }

    /** Head {@code to} has the pages of {@code from}. */
    void fork(int from, int to) {
        rows[to] = rows[from];
    }

    /** Of a head the first {@code length} rows are left. */
    void shorten(int head, int length) {
        rows[head] = Math.min(rows[head], length / KvShape.PAGE_ROWS * KvShape.PAGE_ROWS);
    }

    /** @throws IllegalStateException if a head has packed pages */
    void requireRowsCanMove(int head, int length) {
        for (int page = 0; page * KvShape.PAGE_ROWS < length; page++) {
            if (table.getAtIndex(ValueLayout.JAVA_INT, entry(head, page)) < 0) {
                throw new IllegalStateException(
                        "rows of a head whose older pages are packed cannot be dropped: packed rows do not move");
            }
        }
    }

    private long entry(int head, int page) {
        return (long) head * pagesPerHead + page;
    }
}
