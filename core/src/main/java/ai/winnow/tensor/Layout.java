package ai.winnow.tensor;

import ai.winnow.ShapeException;
import java.lang.foreign.Arena;
import java.util.List;

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
     * I4 elements of a matrix {@code [out, in]}, then, at the next multiple of 64 bytes, an f32 scale for each {@code group} of
     * neighbours: {@code weight = element * scale}. Rows of elements are filled up to whole groups; behind all of it are zeros,
     * so that kernels may read whole vectors.
     *
     * <p>Row-major, groups lie along the inputs: elements {@code [out][in]}, scales {@code [out][in / group]}; this is what ONNX
     * Runtime's MatMulNBits reads. Column-major, they lie along the outputs, so that a skipped input skips its scales: elements
     * {@code [in][out]}, scales {@code [in][out / group]}. There, 32 outputs of one input are 16 bytes, of which byte {@code i}
     * holds output {@code i} in its lower half and output {@code 16 + i} in its upper: halves of a vector of bytes are then
     * outputs that lie side by side.
     *
     * @param group 32 or 128
     */
    record ScaledGroups(Order order, int group) implements Layout {

        /** The groups there are kernels for. */
        public static final int SMALL = 32;

        public static final int LARGE = 128;

        /** Bytes behind the last scale at least. */
        private static final int SLACK = 64;

        /** Elements of a row that are stored as a unit of 16 bytes. */
        public static final int CELL = 32;

        public ScaledGroups {
            if (group != SMALL && group != LARGE) {
                throw new ShapeException(
                        "weights share a scale in groups of " + SMALL + " or " + LARGE + ", not of " + group);
            }
        }

        @Override
        public long bytes(TensorSpec spec) {
            return Tensor.align(scalesOffset(spec) + 4 * rows(spec) * groups(spec)) + SLACK;
        }

        /** The layouts of {@code order} there are kernels for. */
        public static List<Layout> all(Order order) {
            return List.of(new ScaledGroups(order, SMALL), new ScaledGroups(order, LARGE));
        }

        /** Rows of elements: outputs, or, column-major, inputs. */
        public long rows(TensorSpec spec) {
            return spec.shape().max(order == Order.ROW_MAJOR ? 0 : 1);
        }

        /** Groups, and so scales, of a row. */
        public long groups(TensorSpec spec) {
            return Math.ceilDiv(spec.shape().max(order == Order.ROW_MAJOR ? 1 : 0), (long) group);
        }

        /** Bytes of a row's elements. */
        public long rowBytes(TensorSpec spec) {
            return groups(spec) * group / 2;
        }

        /** Where the scales begin. */
        public long scalesOffset(TensorSpec spec) {
            return Tensor.align(Math.multiplyExact(rows(spec), rowBytes(spec)));
        }

        /** The index, in {@link DType#getFloat}'s sense, of the weight from {@code input} to {@code output}. */
        public long index(TensorSpec spec, long output, long input) {
            if (order == Order.ROW_MAJOR) {
                return 2 * output * rowBytes(spec) + input;
            }
            long within = output % CELL;
            return 2 * input * rowBytes(spec) + output - within + 2 * (within % 16) + within / 16;
        }

        /** Where the scale of the weight from {@code input} to {@code output} lies. */
        public long scaleAt(TensorSpec spec, long output, long input) {
            long row = order == Order.ROW_MAJOR ? output : input;
            long column = order == Order.ROW_MAJOR ? input : output;
            return scalesOffset(spec) + 4 * (row * groups(spec) + column / group);
        }

        @Override
        public String toString() {
            return (order == Order.ROW_MAJOR ? "row-major" : "column-major") + ", scaled groups of " + group;
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
