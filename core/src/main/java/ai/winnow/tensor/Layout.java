package ai.winnow.tensor;

/**
 * How a tensor's elements lie in its storage. Activations are always {@link #ROW_MAJOR}; a weight {@code [out, in]} lies as the
 * kernels that read it prefer, in one copy for all of them.
 */
public sealed interface Layout {

    /** Elements of the spec's type, last axis contiguous. */
    Dense ROW_MAJOR = new Dense(Order.ROW_MAJOR);

    /** A matrix {@code [out, in]} stored transposed: the weights of one input lie side by side, so a skipped input is never read. */
    Dense COLUMN_MAJOR = new Dense(Order.COLUMN_MAJOR);

    /** Bytes that {@code spec} takes in this layout. */
    long bytes(TensorSpec spec);

    /** Which axis of a matrix is contiguous. */
    Order order();

    /** The order of the two axes of a matrix. */
    enum Order {
        ROW_MAJOR,
        COLUMN_MAJOR
    }

    /** Every element, in its own type. */
    record Dense(Order order) implements Layout {
        @Override
        public long bytes(TensorSpec spec) {
            return spec.maxBytes();
        }

        @Override
        public String toString() {
            return order == Order.ROW_MAJOR ? "row-major" : "column-major";
        }
    }

    /**
     * int8 elements of a matrix {@code [out, in]}, then, at the next multiple of 64 bytes, one f32 scale for each of the
     * {@code out} rows: {@code weight = element * scale[row]}.
     */
    record ScaledRows(Order order) implements Layout {
        @Override
        public long bytes(TensorSpec spec) {
            return scalesOffset(spec) + 4 * spec.shape().max(0);
        }

        /** Where the scales begin. */
        public static long scalesOffset(TensorSpec spec) {
            return Tensor.align(spec.maxBytes());
        }

        @Override
        public String toString() {
            return (order == Order.ROW_MAJOR ? "row-major" : "column-major") + ", scaled rows";
        }
    }
}
