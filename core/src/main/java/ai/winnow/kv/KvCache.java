package ai.winnow.kv;

import ai.winnow.BackendException;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Keys and values of many sequences in pages of {@value KvShape#PAGE_ROWS} rows (Kwon et al., SOSP 2023), and the planes that methods keep
 * beside them. A page belongs to one (layer, key-value head) of a sequence, and of those that were forked from it until they write to it.
 * Room is taken with {@link #reserve} before a step writes, and what the step wrote lasts only after {@link #advance}; a step that fails
 * leaves all sequences as they were. A head can drop rows ({@link #retain}); the positions of those it keeps are remembered. Not thread-safe: a cache
 * belongs to a session.
 */
public final class KvCache implements AutoCloseable {

    private final KvShape shape;
    private final Arena arena = Arena.ofShared();
    private final KvPool pool;
    private final Tensor table;
    private final Tensor lengths;
    private final MemorySegment tableSegment;
    private final MemorySegment lengthSegment;
    private final BitSet openSlots = new BitSet();
    private final int[] positions;

    /** Pages that each head of each slot has now. */
    private final int[] pagesOfHead;

    private final KeptRows kept;

    private final PackedRows packed;

    public KvCache(KvShape shape, long byteBudget) {
        this(shape, List.of(), byteBudget);
    }

    /** A cache that packs nothing. */
    public KvCache(KvShape shape, Collection<KvPlane> planes, long byteBudget) {
        this(shape, planes, null, byteBudget);
    }

    /**
     * @param planes what is kept beside the keys of each page
     * @param packing how {@link #pack} packs pages; null if it is never called
     * @param byteBudget the most bytes that pages of keys, values and planes and packed pages together may take
     * @throws BackendException if the budget does not hold one page for each layer and head
     * @throws ai.winnow.ShapeException if pages of this type, or with these planes, cannot be packed
     */
    public KvCache(KvShape shape, Collection<KvPlane> planes, @Nullable KvPacking packing, long byteBudget) {
        this.shape = shape;
        int heads = Math.multiplyExact(shape.slots(), headsOfSlot());
        try {
            this.pool = new KvPool(shape, planes, packing, byteBudget, arena);
            this.table = Tensor.allocate(
                    arena, DType.I32, shape.slots(), shape.layers(), shape.heads(), shape.pagesPerHead());
            this.lengths = Tensor.allocate(arena, DType.I32, shape.slots(), shape.layers(), shape.heads());
            this.tableSegment = table.segment();
            this.lengthSegment = lengths.segment();
            this.positions = new int[shape.slots()];
            this.pagesOfHead = new int[heads];
            this.kept = new KeptRows(shape, arena);
            this.packed = new PackedRows(shape, packing, pool, tableSegment);
        } catch (RuntimeException | Error e) {
            arena.close(); // shared memory is not freed with the object
            throw e;
        }
    }

    public KvShape shape() {
        return shape;
    }

    /** The pool of key pages {@code [pages, 64, rowElements]}, as {@link KvShape} says. */
    public Tensor keys() {
        return pool.keys();
    }

    /** The pool of value pages, likewise. */
    public Tensor values() {
        return pool.values();
    }

    /** The pool of a plane {@code [pages, width, units]}. */
    public Tensor plane(KvPlane plane) {
        return pool.plane(plane);
    }

    /** The pool of packed pages {@code [pages, bytes]}, see {@link PackedFormat}; only of a cache that packs. */
    public Tensor packedPages() {
        return pool.packedPages();
    }

    /** I32 {@code [slots, layers, heads, pagesPerHead]}: which page of the pool holds each page of a head. */
    public Tensor table() {
        return table;
    }

    /** I32 {@code [slots, layers, heads]}: rows that last. */
    public Tensor lengths() {
        return lengths;
    }

    /** I32 {@code [slots, layers, heads]}: rows of a head, from the first on, that were chosen when it last dropped some. */
    public Tensor settled() {
        return kept.settled();
    }

    /**
     * Takes a slot for a new, empty sequence.
     *
     * @throws BackendException if all are taken
     */
    public int open() {
        int slot = openSlots.nextClearBit(0);
        if (slot >= shape.slots()) {
            throw new BackendException("all " + shape.slots()
                    + " sequences of this session are open; close one, or load the model with more (maxSequences)");
        }
        openSlots.set(slot);
        return slot;
    }

    /**
     * Takes a slot for a sequence that has all that the one in {@code slot} has. They share its pages until one of them writes to them.
     *
     * @throws BackendException if all slots are taken
     */
    public int fork(int slot) {
        requireOpen(slot);
        int fork = open();
        int from = shape.headIndex(slot, 0, 0);
        int to = shape.headIndex(fork, 0, 0);
        for (int head = 0; head < headsOfSlot(); head++) {
            pagesOfHead[to + head] = pagesFor(rowsOf(from + head)); // not those of a step that has not succeeded
            for (int page = 0; page < pagesOfHead[to + head]; page++) {
                int shared = pageOf(from + head, page);
                setPage(to + head, page, shared);
                pool.share(shared);
            }
            lengthSegment.setAtIndex(ValueLayout.JAVA_INT, to + head, rowsOf(from + head));
            kept.copy(from + head, to + head);
            packed.fork(from + head, to + head);
        }
        positions[fork] = positions[slot];
        return fork;
    }

    /** Gives a slot and its pages back. */
    public void close(int slot) {
        truncate(slot, 0);
        openSlots.clear(slot);
    }

    /** How many positions the sequence in {@code slot} has. */
    public int length(int slot) {
        requireOpen(slot);
        return positions[slot];
    }

    /**
     * Takes the pages that {@code rows[i]} more rows of {@code slots[i]} need, for all or for none.
     *
     * @throws BackendException if a sequence would outgrow the context or there are not enough pages; nothing has changed then
     */
    public void reserve(int[] slots, int[] rows) {
        long needed = 0;
        Map<Integer, Integer> writers = new HashMap<>(); // of pages that are shared
        for (int i = 0; i < slots.length; i++) {
            requireOpen(slots[i]);
            if (rows[i] > shape.contextLength() - positions[slots[i]]) {
                throw new BackendException("a sequence of " + positions[slots[i]] + " tokens cannot take " + rows[i]
                        + " more: the context holds " + shape.contextLength());
            }
            needed += missingPages(slots[i], rows[i], writers);
        }
        if (needed > pool.free()) {
            throw new BackendException("the cache of keys and values has " + pool.free() + " of " + pool.pages()
                    + " pages left, this step needs " + needed + "; close sequences or raise the cache's budget (now "
                    + bytes() + " bytes)");
        }
        for (int i = 0; i < slots.length; i++) {
            take(slots[i], rows[i]);
        }
    }

    private long missingPages(int slot, int rows, Map<Integer, Integer> writers) {
        long missing = 0;
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            missing += Math.max(0, pagesFor(rowsOf(head) + rows) - pagesOfHead[head]);
            if (rows > 0 && writesShared(head)) {
                int page = pageOf(head, rowsOf(head) / KvShape.PAGE_ROWS);
                // The last of all that have the page may write to it.
                missing += writers.merge(page, 1, Integer::sum) < pool.writers(page) ? 1 : 0;
            }
        }
        return missing;
    }

    /** Whether the next row of a head goes into a page that others have as well, or that is packed. */
    private boolean writesShared(int head) {
        int rows = rowsOf(head);
        return rows % KvShape.PAGE_ROWS != 0 && pool.isShared(pageOf(head, rows / KvShape.PAGE_ROWS));
    }

    private void take(int slot, int rows) {
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            if (rows > 0 && writesShared(head)) {
                int page = rowsOf(head) / KvShape.PAGE_ROWS;
                int shared = pageOf(head, page);
                int own = pool.take();
                pool.copy(shared, own);
                setPage(head, page, own);
                pool.release(shared);
            }
            int wanted = pagesFor(rowsOf(head) + rows);
            while (pagesOfHead[head] < wanted) {
                setPage(head, pagesOfHead[head]++, pool.take());
            }
        }
    }

    private int pageOf(int head, int page) {
        return tableSegment.getAtIndex(ValueLayout.JAVA_INT, (long) head * shape.pagesPerHead() + page);
    }

    private void setPage(int head, int page, int number) {
        tableSegment.setAtIndex(ValueLayout.JAVA_INT, (long) head * shape.pagesPerHead() + page, number);
    }

    /** Makes {@code rows} more rows of {@code slot} last, which were reserved and written. */
    public void advance(int slot, int rows) {
        requireOpen(slot);
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            lengthSegment.setAtIndex(ValueLayout.JAVA_INT, head, rowsOf(head) + rows);
        }
        positions[slot] += rows;
    }

    /**
     * Takes the sequence back to its first {@code length} positions and frees the pages behind them, also those that were
     * reserved for a step that did not succeed. A page that was copied for that step, because a fork had it as well or because it was packed, stays a copy.
     */
    public void truncate(int slot, int length) {
        requireOpen(slot);
        if (length < 0 || length > positions[slot]) {
            throw new IllegalArgumentException(
                    "cannot truncate a sequence of " + positions[slot] + " tokens to " + length);
        }
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            int rows = kept.rowsBefore(head, length);
            kept.truncate(head, length);
            shorten(head, rows);
        }
        positions[slot] = length;
    }

    private void shorten(int head, int rows) {
        lengthSegment.setAtIndex(ValueLayout.JAVA_INT, head, rows);
        while (pagesOfHead[head] > pagesFor(rows)) {
            pool.release(pageOf(head, --pagesOfHead[head]));
        }
        packed.shorten(head, rows);
    }

    /**
     * Prunes and packs the rows of {@code slot} that are due by the cache's {@link KvPacking}, for good, and gives their pages back. A page that does not fit, because many magnitudes
     * are equal, stays as it is; so does, until the next call, one that a fork has too while no bytes are left beside it. After {@link #truncate} {@link #reserve} unpacks a page that
     * is written to again. Not between {@link #reserve} and {@link #advance}.
     */
    public void pack(int slot) {
        requireOpen(slot);
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            packed.pack(head, rowsOf(head));
        }
    }

    /** The position in its sequence of row {@code row} of (slot, layer, head). */
    public int position(int slot, int layer, int head, int row) {
        requireOpen(slot);
        int index = shape.headIndex(slot, layer, head);
        Objects.checkIndex(row, rowsOf(index));
        return kept.position(index, row);
    }

    /**
     * What a head keeps.
     *
     * @param rows ascending, of the rows that the head has now
     * @param decided how many of them, from the first on, are not to be chosen from again ({@link #settled})
     */
    public record Kept(int slot, int layer, int head, int[] rows, int decided) {}

    /**
     * Drops all rows of some heads but those named, moves these together and frees the pages behind them. Pages that are shared with a fork
     * are left to it. Not between {@link #reserve} and {@link #advance}.
     *
     * @param heads each at most once
     * @return how many rows were dropped
     * @throws BackendException if shared pages must be left and there are not enough free ones; nothing has changed then
     * @throws IllegalStateException if a plane is of units of several keys: it cannot follow
     */
    public long retain(List<Kept> heads) {
        pool.requireRowsCanMove();
        long shared = 0;
        Map<Integer, Integer> movers =
                new HashMap<>(); // of pages that are shared: the last who has one may move into it
        for (Kept each : heads) {
            requireOpen(each.slot);
            int head = shape.headIndex(each.slot, each.layer, each.head);
            requireRows(head, each.rows);
            packed.requireRowsCanMove(head, rowsOf(head));
            shared += pagesToLeave(head, staying(each.rows), each.rows.length, movers);
        }
        if (shared > pool.free()) {
            throw new BackendException("rows of " + shared + " pages that are shared with a fork cannot be moved with "
                    + pool.free() + " of " + pool.pages() + " pages left; close sequences or raise the cache's budget");
        }
        long dropped = 0;
        for (Kept each : heads) {
            int head = shape.headIndex(each.slot, each.layer, each.head);
            dropped += rowsOf(head) - each.rows.length;
            int[] left = new int[each.rows.length];
            Arrays.setAll(left, i -> kept.position(head, each.rows[i]));
            move(head, each.rows, staying(each.rows));
            shorten(head, each.rows.length);
            kept.set(head, left, positions[each.slot], each.decided);
        }
        return dropped;
    }

    private void requireRows(int head, int[] rows) {
        for (int i = 0; i < rows.length; i++) {
            if (rows[i] < (i == 0 ? 0 : rows[i - 1] + 1) || rows[i] >= rowsOf(head)) {
                throw new IllegalArgumentException("rows to keep must ascend from 0 to " + (rowsOf(head) - 1) + "; row "
                        + i + " of them is " + rows[i]);
            }
        }
    }

    /** How many rows stay where they are. */
    private static int staying(int[] rows) {
        int first = 0;
        while (first < rows.length && rows[first] == first) {
            first++;
        }
        return first;
    }

    /** Copies the rows from {@code first} on to the front. Each page is read for the last time when its own rows are written. */
    private void move(int head, int[] rows, int first) {
        for (int at = first; at < rows.length; ) {
            int page = at / KvShape.PAGE_ROWS;
            int end = Math.min(rows.length, (page + 1) * KvShape.PAGE_ROWS);
            int old = pageOf(head, page);
            int own = old;
            if (pool.isShared(old)) {
                own = pool.take();
                pool.copy(old, own);
            }
            for (; at < end; at++) {
                int from = pageOf(head, rows[at] / KvShape.PAGE_ROWS);
                pool.copyRow(from, rows[at] % KvShape.PAGE_ROWS, own, at % KvShape.PAGE_ROWS);
            }
            if (own != old) {
                setPage(head, page, own);
                pool.release(old);
            }
        }
    }

    private int pagesToLeave(int head, int first, int rows, Map<Integer, Integer> movers) {
        int left = 0;
        for (int page = first / KvShape.PAGE_ROWS; first < rows && page < pagesFor(rows); page++) {
            int number = pageOf(head, page);
            if (pool.isShared(number)) {
                left += movers.merge(number, 1, Integer::sum) < pool.writers(number) ? 1 : 0;
            }
        }
        return left;
    }

    /** Bytes of the pages that the sequence in {@code slot} has, those that it shares with others included. */
    public long bytes(int slot) {
        requireOpen(slot);
        int first = shape.headIndex(slot, 0, 0);
        long bytes = 0;
        for (int head = first; head < first + headsOfSlot(); head++) {
            for (int page = 0; page < pagesOfHead[head]; page++) {
                bytes += pool.bytesOf(pageOf(head, page));
            }
        }
        return bytes;
    }

    /** Bytes that all pages take when all are written to. */
    public long bytes() {
        return pool.bytes();
    }

    /** Pages that no sequence has. */
    public int freePages() {
        return pool.free();
    }

    /** Frees the memory. Views of it fail from now on. */
    @Override
    public void close() {
        arena.close();
    }

    private int headsOfSlot() {
        return shape.layers() * shape.heads();
    }

    private int rowsOf(int head) {
        return lengthSegment.getAtIndex(ValueLayout.JAVA_INT, head);
    }

    private static int pagesFor(int rows) {
        return (rows + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS;
    }

    private void requireOpen(int slot) {
        if (slot < 0 || slot >= shape.slots() || !openSlots.get(slot)) {
            throw new IllegalArgumentException("slot " + slot + " is not an open sequence");
        }
    }
}
