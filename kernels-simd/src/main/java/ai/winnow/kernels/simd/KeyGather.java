package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;

/**
 * Collects single keys and values of many pages in one page of each, as pages lie, with their places in the sequence. Copying waits for
 * memory many rows at a time; what computes then finds them in cache.
 *
 * <p>Scratch: a page of keys, one of values, and the places {@code I32 [64]}.
 */
final class KeyGather {

    private final KvShape shape;
    private final long rowBytes;
    private final boolean scaled;
    private final long valuesAt;
    private final long placesAt;

    KeyGather(KvShape shape) {
        this.shape = shape;
        this.scaled = shape.dtype() == DType.I8;
        this.rowBytes = shape.dtype().bytes(shape.headDim());
        this.valuesAt = Tensor.align(shape.pageBytes()) + Tensor.ALIGNMENT; // no multiple of 4 KiB
        this.placesAt = 2 * valuesAt;
    }

    long scratchBytes() {
        return placesAt + 4L * KvShape.PAGE_ROWS;
    }

    /** Where the page of keys is. */
    long keys(long scratch) {
        return scratch;
    }

    /** Where the page of values is. */
    long values(long scratch) {
        return scratch + valuesAt;
    }

    /** Where in the sequence collected key {@code i} lies. */
    int place(int i, long scratch) {
        return ALL.get(INT, scratch + placesAt + 4L * i);
    }

    /**
     * Adds row {@code row} of page {@code page} of the head.
     *
     * @param k address of the page of keys
     * @param v address of the page of values
     * @param at how many there are already, less than 64
     */
    void add(long k, long v, int page, int row, int at, long scratch) {
        Lanes.copy(k + rowBytes * row, keys(scratch) + rowBytes * at, rowBytes);
        Lanes.copy(v + rowBytes * row, values(scratch) + rowBytes * at, rowBytes);
        if (scaled) {
            ALL.set(INT, keys(scratch) + shape.scaleAt(0, at), ALL.get(INT, k + shape.scaleAt(0, row)));
            ALL.set(INT, values(scratch) + shape.scaleAt(0, at), ALL.get(INT, v + shape.scaleAt(0, row)));
        }
        ALL.set(INT, scratch + placesAt + 4L * at, page * KvShape.PAGE_ROWS + row);
    }
}
