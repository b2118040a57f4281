package ai.winnow.kv;

import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.Arrays;

/** The packed pages of a cache: how many heads of sequences have each, and which nobody has. A page that was packed is never written to. */
final class PackedPages {

    private final PackedFormat format;
    private final Tensor pool;
    private final PagePacker packer;
    private final int[] free;
    private final int[] holders;
    private int freeCount;

    /** For each dense page that several have the packed page that holds the same, or -1: the next of them takes it as well. */
    private final int[] twins;

    /** The other way round. */
    private final int[] twinOf;

    /**
     * @param densePages pages of the dense pool
     * @param pages as many as the budget holds
     */
    PackedPages(PackedFormat format, int densePages, long pages, Arena arena) {
        KvShape shape = format.shape();
        long wanted = (long) shape.slots() * shape.layers() * shape.heads() * shape.pagesPerHead();
        int count = (int) Math.min(Math.min(wanted, pages), Integer.MAX_VALUE - 8);
        this.format = format;
        this.pool = Tensor.allocate(arena, TensorSpec.of(DType.I8, count, format.bytes()), Layout.ROW_MAJOR);
        this.packer = new PagePacker(format);
        this.free = new int[count];
        this.holders = new int[count];
        this.twins = new int[densePages];
        this.twinOf = new int[count];
        Arrays.fill(twins, -1);
        Arrays.fill(twinOf, -1);
        for (int page = count - 1; page >= 0; page--) {
            free[freeCount++] = page;
        }
    }

    Tensor pool() {
        return pool;
    }

    /** Bytes of a page. */
    long pageBytes() {
        return format.bytes();
    }

    /** Bytes of all pages that somebody has. */
    long taken() {
        return (free.length - freeCount) * format.bytes();
    }

    boolean isFull() {
        return freeCount == 0;
    }

    /** The packed page that now has what dense page {@code page} has, for one head; -1 if it does not fit. There must be room. */
    int pack(Tensor keys, Tensor values, int page) {
        int to = free[freeCount - 1];
        if (!packer.pack(keys.segment(), values.segment(), page, pool.segment(), to)) {
            return -1;
        }
        freeCount--;
        holders[to] = 1;
        return to;
    }

    void unpack(int from, Tensor keys, Tensor values, int page) {
        packer.unpack(pool.segment(), from, keys.segment(), values.segment(), page);
    }

    void share(int page) {
        holders[page]++;
    }

    /** The packed page that holds what dense page {@code page} does, or -1 if none is known. */
    int twin(int page) {
        return twins[page];
    }

    /** Packed page {@code packed} holds what dense page {@code page} does, which is not written to until {@link #part}. */
    void pair(int page, int packed) {
        twins[page] = packed;
        twinOf[packed] = page;
    }

    /** Dense page {@code page} may be written to from now on. */
    void part(int page) {
        if (twins[page] >= 0) {
            twinOf[twins[page]] = -1;
            twins[page] = -1;
        }
    }

    void release(int page) {
        if (--holders[page] == 0) {
            if (twinOf[page] >= 0) {
                part(twinOf[page]);
            }
            free[freeCount++] = page;
        }
    }
}
