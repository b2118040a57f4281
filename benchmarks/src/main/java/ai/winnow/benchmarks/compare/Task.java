package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;

/** What a peer is asked to compute: the same numbers as ours, in f32 and row-major, and how its result is judged. */
sealed interface Task {

    /**
     * The greatest error of {@code result}, as a share of what is allowed: above 1 the peer computes something else.
     *
     * @param quantised whether the peer rounds its inputs to 8 bits
     */
    double error(float[] result, boolean quantised);

    /**
     * A dense linear layer.
     *
     * @param type what our weights are kept in
     * @param x {@code [at least rows, in]}
     * @param weight {@code [out, in]}, the numbers that ours stand for
     */
    record LinearTask(int rows, int in, int out, DType type, Tensor x, Tensor weight) implements Task {
        @Override
        public double error(float[] result, boolean quantised) {
            return new LinearOracle(rows, in, out, x.toFloats(), weight::getFloat, null).error(result, quantised);
        }
    }

    /**
     * Causal softmax attention of the last {@code rows} of {@code context} tokens.
     *
     * @param query {@code [rows, queryHeads, headDim]}
     * @param keys {@code [keyValueHeads, context, headDim]}
     * @param values likewise
     * @param expected {@code [rows, queryHeads, headDim]}
     * @param bounds how far each element may lie off
     */
    record AttentionTask(
            int rows,
            int queryHeads,
            int keyValueHeads,
            int headDim,
            int context,
            float scale,
            Tensor query,
            Tensor keys,
            Tensor values,
            float[] expected,
            double[] bounds)
            implements Task {

        /** Other orders of summation than ours lose about as much; the bounds are for ours. */
        private static final double SLACK = 4;

        @Override
        public double error(float[] result, boolean quantised) {
            return OpProblem.error(result, expected, bounds, SLACK);
        }
    }
}
