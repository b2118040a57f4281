package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;

/**
 * How rows of keys and values are read.
 *
 * @param width floats of a row in scratch: of the head size filled up to two vectors
 * @param read type of the rows that are read: of the cache, or, where rows do not fill their vectors, F32, a copy in scratch
 */
record PageRows(KvShape shape, int width, DType read) {

    static PageRows of(KvShape shape) {
        int pair = 2 * COUNT;
        int width = (shape.headDim() + pair - 1) / pair * pair;
        return new PageRows(shape, width, width == shape.headDim() ? shape.dtype() : DType.F32);
    }

    /** Whether pages are read as they are, and their elements are their numbers. */
    boolean direct() {
        return !staged() && read != DType.I8;
    }

    /** Whether rows are read as bf16, two elements a lane. */
    boolean paired() {
        return read == DType.BF16;
    }

    private boolean staged() {
        return width != shape.headDim();
    }

    /** How kernels are named that read pages of {@code type}. */
    static String type(DType type) {
        return switch (type) {
            case F32 -> "F32";
            case BF16 -> "Bf16";
            default -> "Int8";
        };
    }

    /** Bytes of a row as it is read. */
    long rowBytes() {
        return read.bytes(width);
    }

    /** Bytes of a page in scratch, if pages are put there. */
    long stagedBytes() {
        return !staged() ? 0 : 4L * KvShape.PAGE_ROWS * width;
    }

    /** The page, or, where it cannot be read as it is, its first rows at {@code to}. */
    long staged(long page, int rows, long to) {
        if (!staged()) {
            return page;
        }
        widen(page, rows, to);
        return to;
    }

    /** The first rows of a page in f32 {@code [rows, width]}, filled up with zeros. */
    void widen(long page, int rows, long to) {
        int headDim = shape.headDim();
        for (int row = 0; row < rows; row++) {
            long target = to + 4L * width * row;
            switch (shape.dtype()) {
                case F32 -> Elementwise.scale(page + 4L * headDim * row, 1, target, headDim);
                case BF16 -> Conversions.bf16ToFloat(page + 2L * headDim * row, target, headDim);
                default -> {
                    float scale = ALL.get(FLOAT, page + shape.scaleAt(0, row));
                    Conversions.int8ToFloat(page + shape.rowAt(0, row), scale, target, headDim);
                }
            }
            for (int d = headDim; d < width; d++) {
                ALL.set(FLOAT, target + 4L * d, 0f);
            }
        }
    }

    /** The query of a head times {@code scale}, as rows are multiplied with it. */
    void query(long query, float scale, long to) {
        int headDim = shape.headDim();
        if (paired()) {
            RowOrder.pair(query, headDim, scale, to);
        } else {
            Elementwise.scale(query, scale, to, headDim);
            for (int d = headDim; d < width; d++) {
                ALL.set(FLOAT, to + 4L * d, 0f);
            }
        }
    }

    /** Sums times {@code share}, to where a head of the result lies. */
    void result(long sums, float share, long out) {
        if (paired()) {
            ColumnOrder.finishPaired(sums, 0, width, width, 1f);
        }
        Elementwise.scale(sums, share, out, shape.headDim());
    }
}
