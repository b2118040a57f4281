package ai.winnow.kv;

import ai.winnow.BackendException;
import ai.winnow.ShapeException;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The pages of a cache: keys, values and planes of the same number, how many have each, and which nobody has. A negative number stands for a packed page ({@link
 * PackedFormat#entry}); both kinds share the budget of bytes.
 */
final class KvPool {

    private final KvShape shape;
    private final Map<KvPlane, Tensor> planes = new LinkedHashMap<>();
    private final Tensor keys;
    private final Tensor values;
    private final long bytesOfPage;

    /** Pages nobody has: a stack. */
    private final int[] free;

    private int freeCount;

    /** How many heads of sequences have each page. */
    private final int[] holders;

    private final @Nullable PackedPages packed;

    /** @throws BackendException if the budget does not hold one page for each layer and head */
    KvPool(KvShape shape, Collection<KvPlane> declared, @Nullable KvPacking packing, long byteBudget, Arena arena) {
        if (packing != null && !declared.isEmpty()) {
            throw new ShapeException(
                    "what is kept beside keys, " + declared + ", does not go with pages that are packed");
        }
        this.shape = shape;
        this.bytesOfPage = 2 * shape.pageBytes()
                + declared.stream().mapToLong(KvPlane::pageBytes).sum();
        long headsOfSlot = (long) shape.layers() * shape.heads();
        long affordable = byteBudget / bytesOfPage;
        if (affordable < headsOfSlot) {
            throw new BackendException("a cache of " + byteBudget + " bytes holds " + affordable + " pages of "
                    + bytesOfPage + " bytes, one sequence needs at least " + headsOfSlot
                    + " (layers x key-value heads); raise the cache's budget");
        }
        long wanted = shape.slots() * headsOfSlot * shape.pagesPerHead();
        int pages = (int) Math.min(Math.min(wanted, affordable), Integer.MAX_VALUE - 8);
        TensorSpec rows = TensorSpec.of(shape.dtype(), pages, KvShape.PAGE_ROWS, shape.rowElements());
        this.keys = Tensor.allocate(arena, rows, Layout.ROW_MAJOR);
        this.values = Tensor.allocate(arena, rows, Layout.ROW_MAJOR);
        for (KvPlane plane : declared) {
            TensorSpec spec = TensorSpec.of(plane.dtype(), pages, plane.width(), plane.units());
            planes.put(plane, Tensor.allocate(arena, spec, Layout.ROW_MAJOR));
        }
        this.free = new int[pages];
        this.holders = new int[pages];
        for (int page = pages - 1; page >= 0; page--) {
            free[freeCount++] = page;
        }
        PackedFormat format = packing == null ? null : new PackedFormat(shape, packing);
        this.packed = format == null ? null : new PackedPages(format, pages, bytes() / format.bytes(), arena);
    }

    private PackedPages packed() {
        return Objects.requireNonNull(packed, "a page is packed in a cache that packs none");
    }

    /** The pool of packed pages; there must be one. */
    Tensor packedPages() {
        return packed().pool();
    }

    Tensor keys() {
        return keys;
    }

    Tensor values() {
        return values;
    }

    Tensor plane(KvPlane plane) {
        Tensor found = planes.get(plane);
        if (found == null) {
            throw new IllegalArgumentException("this cache has the planes " + planes.keySet() + ", not " + plane);
        }
        return found;
    }

    int pages() {
        return free.length;
    }

    /** Pages that can be taken: those that nobody has, as far as packed pages leave bytes for them. */
    int free() {
        return packed == null ? freeCount : (int) Math.min(freeCount, bytesLeft() / bytesOfPage);
    }

    private long bytesLeft() {
        return bytes() - (pages() - freeCount) * bytesOfPage - packed().taken();
    }

    long bytesOf(int page) {
        return page < 0 ? packed().pageBytes() : bytesOfPage;
    }

    long bytes() {
        return pages() * bytesOfPage;
    }

    /** A page for one head; there must be one. */
    int take() {
        int page = free[--freeCount];
        holders[page] = 1;
        return page;
    }

    /** One more head has {@code page}. */
    void share(int page) {
        if (page < 0) {
            packed().share(PackedFormat.entry(page));
        } else {
            holders[page]++;
        }
    }

    /** One head less has it. */
    void release(int page) {
        if (page < 0) {
            packed().release(PackedFormat.entry(page));
            return;
        }
        holders[page]--;
        if (holders[page] <= 1 && packed != null) {
            packed.part(page);
        }
        if (holders[page] == 0) {
            free[freeCount++] = page;
        }
    }

    /** How many may write to a page once they alone have it: none to a packed one. */
    int writers(int page) {
        return page < 0 ? Integer.MAX_VALUE : holders[page];
    }

    /** Whether a page must be left for a copy before it is written to. */
    boolean isShared(int page) {
        return page < 0 || holders[page] > 1;
    }

    /**
     * Packs a page for one of its holders, who leaves it.
     *
     * @return what stands for the packed page; {@code page} itself if it does not fit in one
     */
    int pack(int page) {
        int to = packed().twin(page);
        if (to >= 0) {
            packed().share(to);
        } else {
            to = packed().pack(keys, values, page);
            if (to < 0) {
                return page;
            }
            if (isShared(page)) {
                packed().pair(page, to);
            }
        }
        release(page);
        return PackedFormat.entry(to);
    }

    /** Whether {@link #pack} has room: a page that others keep needs bytes beside it. */
    boolean canPack(int page) {
        if (packed().twin(page) >= 0) {
            return true;
        }
        long left = bytesLeft() + (isShared(page) ? 0 : bytesOfPage);
        return !packed().isFull() && left >= packed().pageBytes();
    }

    /** Copies a page; of a packed one its rows as they were pruned. */
    void copy(int from, int to) {
        if (from < 0) {
            packed().unpack(PackedFormat.entry(from), keys, values, to);
            return;
        }
        copy(keys, shape.pageBytes(), from, to);
        copy(values, shape.pageBytes(), from, to);
        planes.forEach((plane, pool) -> copy(pool, plane.pageBytes(), from, to));
    }

    private static void copy(Tensor pool, long pageBytes, int from, int to) {
        MemorySegment.copy(pool.segment(), from * pageBytes, pool.segment(), to * pageBytes, pageBytes);
    }

    /** @throws IllegalStateException if there is a plane of units of several keys */
    void requireRowsCanMove() {
        for (KvPlane plane : planes.keySet()) {
            if (plane.unit() > 1) {
                throw new IllegalStateException("rows cannot be dropped beside the plane " + plane.name()
                        + ", whose units are of " + plane.unit() + " keys");
            }
        }
    }

    /** Copies row {@code row} of {@code page} to row {@code toRow} of {@code toPage}. */
    void copyRow(int page, int row, int toPage, int toRow) {
        long rowBytes = shape.dtype().bytes(shape.headDim());
        for (Tensor pool : List.of(keys, values)) {
            MemorySegment segment = pool.segment();
            long from = shape.dtype().bytes(shape.rowAt(page, row));
            MemorySegment.copy(segment, from, segment, shape.dtype().bytes(shape.rowAt(toPage, toRow)), rowBytes);
            if (shape.rowElements() > shape.headDim()) {
                MemorySegment.copy(
                        segment, shape.scaleAt(page, row), segment, shape.scaleAt(toPage, toRow), Float.BYTES);
            }
        }
        planes.forEach((plane, pool) -> {
            MemorySegment segment = pool.segment();
            for (int j = 0; j < plane.width(); j++) {
                float number = plane.dtype().getFloat(segment, plane.at(page, j, row));
                plane.dtype().setFloat(segment, plane.at(toPage, j, toRow), number);
            }
        });
    }
}
