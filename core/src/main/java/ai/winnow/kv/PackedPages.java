package ai.winnow.kv;

import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;

/** The packed pages of a cache: how many heads of sequences have each, and which nobody has. A page that was packed is never written to. */
final class PackedPages {

    private final PackedFormat format;
    private final Tensor pool;
    private final PagePacker packer;
    private final int[] free;
    private final int[] holders;
    private int freeCount;

    /** @param pages as many as the budget holds */
    PackedPages(PackedFormat format, long pages, Arena arena) {
        KvShape shape = format.shape();
        long wanted = (long) shape.slots() * shape.layers() * shape.heads() * shape.pagesPerHead();
        int count = (int) Math.min(Math.min(wanted, pages), Integer.MAX_VALUE - 8);
        this.format = format;
        this.pool = Tensor.allocate(arena, TensorSpec.of(DType.I8, count, format.bytes()), Layout.ROW_MAJOR);
        this.packer = new PagePacker(format);
        this.free = new int[count];
        this.holders = new int[count];
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

    void release(int page) {
        if (--holders[page] == 0) {
            free[freeCount++] = page;
        }
    }

    int holders(int page) {
        return holders[page];
    }
}
