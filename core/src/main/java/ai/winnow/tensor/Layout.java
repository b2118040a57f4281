package ai.winnow.tensor;

import java.lang.foreign.Arena;

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

    /** Which axis of a matrix is contiguous; in a layout of panels, within a panel. */
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

    /**
     * A matrix {@code [out, in]} of which little more than what is not zero is stored. What counts is the element in the type it is
     * kept in, compared with 0: -0 is zero, and comes back as +0. The memory's size follows from how much the weight's {@code
     * WeightStructure} says there is at most; there may be less.
     */
    sealed interface Sparse extends Layout permits BitmaskPanel16, BlockSparse16x1, CompressedRows {

        /**
         * Packs a matrix.
         *
         * @param name the weight, for errors
         * @param source row-major, of any readable type
         * @param target zeroed memory in this layout; its type is F32, BF16 or F16
         * @throws ai.winnow.ArtefactException if more is not zero than this layout has room for, or something is not finite
         */
        void compress(String name, Tensor source, Tensor target);

        /** The row-major matrix, in the type of {@code packed}. */
        Tensor decompress(Tensor packed, Arena arena);
    }
}
