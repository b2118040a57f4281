package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * What is known at plan time about where a weight {@code [out, in]} is zero. It changes nothing of what a weight means: backends
 * may store only what is not zero. Whoever makes the weight declares it, with {@link WeightRef#withStructure}; it is checked when
 * the weight is packed.
 */
public sealed interface WeightStructure {

    /** Nothing is known, or little is zero. */
    static WeightStructure dense() {
        return new Dense();
    }

    /** The most elements of a matrix of {@code spec} that are not zero. */
    long nonZeros(TensorSpec spec);

    /** The most elements that are not zero, as a share of all. */
    default double density(TensorSpec spec) {
        return (double) nonZeros(spec) / Math.max(1, spec.shape().maxElements());
    }

    /** The layouts that store what is not zero in a matrix of {@code spec}, large enough for the most there can be. */
    default List<Layout.Sparse> layouts(TensorSpec spec) {
        return StructureScan.layouts(this, spec);
    }

    /** The structure in words, with {@code spec}'s share of zeros. */
    String describe(TensorSpec spec);

    /**
     * What is true of a matrix: counts once over all elements.
     *
     * @param weight row-major {@code [out, in]}, in memory that every thread may read
     */
    static WeightStructure of(Tensor weight) {
        return StructureScan.of(weight);
    }

    /**
     * Checks that this is true of {@code weight}, row-major.
     *
     * @param name the weight, for errors
     * @throws ai.winnow.ArtefactException naming row and column of the first element too many
     */
    default void require(String name, Tensor weight) {
        StructureScan.require(this, name, weight);
    }

    /** See {@link #dense}. */
    record Dense() implements WeightStructure {
        @Override
        public long nonZeros(TensorSpec spec) {
            return spec.shape().maxElements();
        }

        @Override
        public String describe(TensorSpec spec) {
            return "dense";
        }
    }

    /** At most so many elements are not zero, anywhere. */
    record Unstructured(long nonZeros) implements WeightStructure {
        public Unstructured {
            requireCount(nonZeros);
        }

        @Override
        public long nonZeros(TensorSpec spec) {
            return Math.min(nonZeros, spec.shape().maxElements());
        }

        @Override
        public String describe(TensorSpec spec) {
            return StructureScan.percentZero(this, spec) + " unstructured zeros";
        }
    }

    /**
     * Rows 16 p to 16 p + 15 have a weight for at most so many inputs, counted over all p.
     *
     * @param blocks blocks of 16 rows by one input that are not all zero
     */
    record Blocks16x1(long blocks) implements WeightStructure {
        public Blocks16x1 {
            requireCount(blocks);
        }

        @Override
        public long nonZeros(TensorSpec spec) {
            return Math.min(16 * blocks, spec.shape().maxElements());
        }

        @Override
        public String describe(TensorSpec spec) {
            return StructureScan.percentZero(this, spec) + " zeros in blocks of 16x1";
        }
    }

    /** Of every {@code m} neighbouring inputs of an output, at most {@code n} have a weight; the last group of a row may be shorter. */
    record NOfM(int n, int m) implements WeightStructure {
        public NOfM {
            if (n < 0 || m < 1 || n > m) {
                throw new ShapeException("n:m keeps n of m weights, not " + n + " of " + m);
            }
        }

        @Override
        public long nonZeros(TensorSpec spec) {
            long columns = spec.shape().max(1);
            return spec.shape().max(0) * (columns / m * n + Math.min(n, columns % m));
        }

        @Override
        public String describe(TensorSpec spec) {
            return "keeps " + n + " of " + m;
        }
    }

    private static void requireCount(long count) {
        if (count < 0) {
            throw new ShapeException("a weight cannot have " + count + " elements or blocks that are not zero");
        }
    }
}
