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
 * @param direct whether pages are read as they are: their rows fill their vectors and have no scales
 * @param paired whether they are read as bf16, two elements a lane
 */
record PageRows(KvShape shape, int width, boolean direct, boolean paired) {

    static PageRows of(KvShape shape) {
        int pair = 2 * COUNT;
        int width = (shape.headDim() + pair - 1) / pair * pair;
        boolean direct = width == shape.headDim() && shape.dtype() != DType.I8;
        return new PageRows(shape, width, direct, direct && shape.dtype() == DType.BF16);
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
        return (paired ? 2L : 4L) * width;
    }

    /** Bytes of a page in scratch, if pages are put there. */
    long stagedBytes() {
        return direct ? 0 : 4L * KvShape.PAGE_ROWS * width;
    }

    /** The page, or, where it cannot be read as it is, its first rows at {@code to}. */
    long staged(long page, int rows, long to) {
        if (direct) {
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
        if (paired) {
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
        if (paired) {
            ColumnOrder.finishPaired(sums, 0, width, width, 1f);
        }
        Elementwise.scale(sums, share, out, shape.headDim());
    }
}
