package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;

/**
 * The shape of a paged cache of keys and values. A page holds {@value #PAGE_ROWS} rows {@code [headDim]} of one (sequence,
 * layer, key-value head), so that one head can drop its pages without the others.
 */
public record KvShape(int layers, int heads, int headDim, int slots, int contextLength, DType dtype) {

    /** Rows of a page. */
    public static final int PAGE_ROWS = 64;

    public KvShape {
        if (layers < 0 || heads < 1 || headDim < 1 || slots < 1 || contextLength < 1) {
            throw new ShapeException("not the shape of a cache: " + layers + " layers, " + heads + " heads of "
                    + headDim + ", " + slots + " slots of " + contextLength);
        }
    }

    /** Entries that the page table has for one (sequence, layer, head). */
    public int pagesPerHead() {
        return (contextLength + PAGE_ROWS - 1) / PAGE_ROWS;
    }

    /** Elements of one page of keys (a page of values has as many). */
    public long pageElements() {
        return (long) PAGE_ROWS * headDim;
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
}
