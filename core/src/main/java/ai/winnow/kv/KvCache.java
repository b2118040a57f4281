package ai.winnow.kv;

import ai.winnow.BackendException;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;

/**
 * Keys and values of many sequences in pages of {@value KvShape#PAGE_ROWS} rows (Kwon et al., SOSP 2023). A page belongs to one
 * (sequence, layer, key-value head). Room is taken with {@link #reserve} before a step writes, and what the step wrote lasts
 * only after {@link #advance}; a step that fails leaves nothing behind. Not thread-safe: a cache belongs to a session.
 */
public final class KvCache implements AutoCloseable {

    private final KvShape shape;
    private final Arena arena = Arena.ofShared();
    private final Tensor keys;
    private final Tensor values;
    private final Tensor table;
    private final Tensor lengths;
    private final MemorySegment tableSegment;
    private final MemorySegment lengthSegment;
    private final int pages;

    /** Pages nobody has: a stack. */
    private final int[] free;

    private int freeCount;
    private final BitSet openSlots = new BitSet();
    private final int[] positions;

    /** Pages that each head of each slot has now. */
    private final int[] pagesOfHead;

    /**
     * @param byteBudget the most bytes that pages of keys and values together may take
     * @throws BackendException if the budget does not hold one page for each layer and head
     */
    public KvCache(KvShape shape, long byteBudget) {
        this.shape = shape;
        long heads = (long) shape.slots() * headsOfSlot();
        long affordable = byteBudget / (2 * shape.pageBytes());
        if (affordable < headsOfSlot()) {
            throw new BackendException("a cache of " + byteBudget + " bytes holds " + affordable + " pages of "
                    + 2 * shape.pageBytes() + " bytes, one sequence needs at least " + headsOfSlot()
                    + " (layers x key-value heads); raise the cache's budget");
        }
        this.pages = (int) Math.min(Math.min(heads * shape.pagesPerHead(), affordable), Integer.MAX_VALUE - 8);
        TensorSpec pool = TensorSpec.of(shape.dtype(), pages, KvShape.PAGE_ROWS, shape.rowElements());
        try {
            this.keys = Tensor.allocate(arena, pool, Layout.ROW_MAJOR);
            this.values = Tensor.allocate(arena, pool, Layout.ROW_MAJOR);
            this.table = Tensor.allocate(
                    arena, DType.I32, shape.slots(), shape.layers(), shape.heads(), shape.pagesPerHead());
            this.lengths = Tensor.allocate(arena, DType.I32, shape.slots(), shape.layers(), shape.heads());
            this.tableSegment = table.segment();
            this.lengthSegment = lengths.segment();
            this.free = new int[pages];
            this.positions = new int[shape.slots()];
            this.pagesOfHead = new int[Math.toIntExact(heads)];
            for (int page = pages - 1; page >= 0; page--) {
                free[freeCount++] = page;
            }
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
        return keys;
    }

    /** The pool of value pages, likewise. */
    public Tensor values() {
        return values;
    }

    /** I32 {@code [slots, layers, heads, pagesPerHead]}: which page of the pool holds each page of a head. */
    public Tensor table() {
        return table;
    }

    /** I32 {@code [slots, layers, heads]}: rows that last. */
    public Tensor lengths() {
        return lengths;
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
        for (int i = 0; i < slots.length; i++) {
            requireOpen(slots[i]);
            if (rows[i] > shape.contextLength() - positions[slots[i]]) {
                throw new BackendException("a sequence of " + positions[slots[i]] + " tokens cannot take " + rows[i]
                        + " more: the context holds " + shape.contextLength());
            }
            needed += missingPages(slots[i], rows[i]);
        }
        if (needed > freeCount) {
            throw new BackendException("the cache of keys and values has " + freeCount + " of " + pages
                    + " pages left, this step needs " + needed + "; close sequences or raise the cache's budget (now "
                    + bytes() + " bytes)");
        }
        for (int i = 0; i < slots.length; i++) {
            take(slots[i], rows[i]);
        }
    }

    private long missingPages(int slot, int rows) {
        long missing = 0;
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            missing += Math.max(0, pagesFor(rowsOf(head) + rows) - pagesOfHead[head]);
        }
        return missing;
    }

    private void take(int slot, int rows) {
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            int wanted = pagesFor(rowsOf(head) + rows);
            while (pagesOfHead[head] < wanted) {
                long entry = (long) head * shape.pagesPerHead() + pagesOfHead[head]++;
                tableSegment.setAtIndex(ValueLayout.JAVA_INT, entry, free[--freeCount]);
            }
        }
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
     * reserved for a step that did not succeed.
     */
    public void truncate(int slot, int length) {
        requireOpen(slot);
        if (length < 0 || length > positions[slot]) {
            throw new IllegalArgumentException(
                    "cannot truncate a sequence of " + positions[slot] + " tokens to " + length);
        }
        int dropped = positions[slot] - length;
        int first = shape.headIndex(slot, 0, 0);
        for (int head = first; head < first + headsOfSlot(); head++) {
            int rows = rowsOf(head) - dropped;
            lengthSegment.setAtIndex(ValueLayout.JAVA_INT, head, rows);
            while (pagesOfHead[head] > pagesFor(rows)) {
                long entry = (long) head * shape.pagesPerHead() + --pagesOfHead[head];
                free[freeCount++] = tableSegment.getAtIndex(ValueLayout.JAVA_INT, entry);
            }
        }
        positions[slot] = length;
    }

    /** Bytes that all pages take when all are written to. */
    public long bytes() {
        return 2L * pages * shape.pageBytes();
    }

    /** Pages that no sequence has. */
    public int freePages() {
        return freeCount;
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
