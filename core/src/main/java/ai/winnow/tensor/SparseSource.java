package ai.winnow.tensor;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import java.util.Arrays;

/**
 * A matrix on its way into a sparse layout: elements as the type they will be kept in has them, rows beyond the last as zeros, so
 * that every panel of {@link #ROWS} rows is whole.
 */
record SparseSource(String name, Tensor tensor, DType type) {

    /** Rows of a panel. */
    static final int ROWS = 16;

    /** The most columns that a uint16 names. */
    static final int MOST_COLUMNS = 1 << 16;

    SparseSource {
        if (tensor.shape().rank() != 2 || !type.isFloat() || type == DType.F64) {
            throw new ShapeException("weight '" + name + "': sparse layouts keep matrices of F32, BF16 or F16, this is "
                    + tensor.spec() + " to be kept as " + type);
        }
    }

    static SparseSource of(String name, Tensor source, Tensor target) {
        if (!source.shape().equals(target.shape())) {
            throw new ShapeException(name + ": expected " + target.spec() + ", found " + source.spec());
        }
        return new SparseSource(name, source, target.dtype());
    }

    static int rows(TensorSpec spec) {
        return Math.toIntExact(spec.shape().max(0));
    }

    static int columns(TensorSpec spec) {
        return Math.toIntExact(spec.shape().max(1));
    }

    static int panels(TensorSpec spec) {
        return (rows(spec) + ROWS - 1) / ROWS;
    }

    static void requireShortColumns(TensorSpec spec) {
        if (columns(spec) > MOST_COLUMNS) {
            throw new ShapeException(spec + " has more than the " + MOST_COLUMNS + " columns that 16 bits name");
        }
    }

    /**
     * Element {@code [row, column]} rounded to the type it will be kept in.
     *
     * @throws ArtefactException if it is not finite
     */
    float at(int row, int column) {
        if (row >= rows(tensor.spec())) {
            return 0;
        }
        float value = rounded(tensor.getFloat((long) row * columns(tensor.spec()) + column));
        if (!Float.isFinite(value)) {
            throw new ArtefactException(
                    "weight '" + name + "' holds NaN or infinity at row " + row + ", column " + column
                            + " (" + tensor.dtype() + " in the checkpoint, read as " + type
                            + "); the checkpoint is damaged, or a type is too narrow for it: try another weightType");
        }
        return value;
    }

    private float rounded(float value) {
        return switch (type) {
            case BF16 -> DType.bf16ToFloat(DType.floatToBf16(value));
            case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
            default -> value;
        };
    }

    /**
     * Where each of some runs begins, if they lie one behind the other; the last entry is where the last ends.
     *
     * @param counts how long each run is
     * @throws ArtefactException if there is no room for all
     */
    long[] starts(long[] counts, long room, String what, Locator where) {
        long[] starts = new long[counts.length + 1];
        for (int i = 0; i < counts.length; i++) {
            starts[i + 1] = starts[i] + counts[i];
            if (starts[i + 1] > room) {
                long total = Arrays.stream(counts).sum();
                throw new ArtefactException("weight '" + name + "' was declared to have at most " + room + " " + what
                        + " but has " + total + ": one too many is at " + where.of(i, room - starts[i])
                        + "; declare its structure as it is, or prune it as declared");
            }
        }
        return starts;
    }

    /** Says where a run has its item {@code index}: {@code row 3, column 7}. */
    interface Locator {
        String of(int run, long index);
    }
}
