package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;

/** What a peer is asked to compute: the same numbers as ours, in f32 and row-major, and how its result is judged. */
sealed interface Task {

    /**
     * The greatest error of {@code result}, as a share of what is allowed: above 1 the peer computes something else.
     *
     * @param inputRounding as in {@link Subject}
     */
    double error(float[] result, double inputRounding);

    /**
     * A dense linear layer.
     *
     * @param type what our weights are kept in
     * @param x {@code [at least rows, in]}
     * @param weight {@code [out, in]}, the numbers that ours stand for
     */
    record LinearTask(int rows, int in, int out, DType type, Tensor x, Tensor weight) implements Task {
        @Override
        public double error(float[] result, double inputRounding) {
            return new LinearOracle(rows, in, out, x.toFloats(), weight::getFloat, null).error(result, inputRounding);
        }
    }

    /**
     * A dense linear layer with weights of 4 bits: {@code weight = element * scale} with a scale for every {@code group} inputs of
     * an output.
     *
     * @param x {@code F32 [at least rows, in]}
     * @param elements {@code I8 [out, in]}, whole numbers from -8 to 7
     * @param scales {@code F32 [out, in / group]}
     */
    record FourBitTask(int rows, int in, int out, int group, Tensor x, Tensor elements, Tensor scales) implements Task {

        /**
         * The numbers of {@code weight}, {@code F32 [out, in]}, rounded: the greatest of each group becomes 7. A peer is judged by
         * what it was given.
         */
        static FourBitTask quantised(int rows, int in, int out, int group, Tensor x, Tensor weight, Arena arena) {
            Tensor elements = Tensor.allocate(arena, DType.I8, out, in);
            Tensor scales = Tensor.allocate(arena, DType.F32, out, in / group);
            for (long from = 0; from < (long) out * in; from += group) {
                float greatest = 0;
                for (long i = from; i < from + group; i++) {
                    greatest = Math.max(greatest, Math.abs(weight.getFloat(i)));
                }
                float scale = greatest == 0 ? 1 : greatest / 7;
                scales.segment().setAtIndex(ValueLayout.JAVA_FLOAT, from / group, scale);
                for (long i = from; i < from + group; i++) {
                    byte element = (byte) Math.round(weight.getFloat(i) / scale);
                    elements.segment().set(ValueLayout.JAVA_BYTE, i, element);
                }
            }
            return new FourBitTask(rows, in, out, group, x, elements, scales);
        }

        int element(int output, int input) {
            return elements.segment().get(ValueLayout.JAVA_BYTE, (long) output * in + input);
        }

        float scale(int output, int input) {
            return scales.segment().getAtIndex(ValueLayout.JAVA_FLOAT, ((long) output * in + input) / group);
        }

        @Override
        public double error(float[] result, double inputRounding) {
            LinearOracle.Numbers weight = index -> {
                int output = Math.toIntExact(index / in);
                int input = Math.toIntExact(index % in);
                return element(output, input) * scale(output, input);
            };
            return new LinearOracle(rows, in, out, x.toFloats(), weight, null).error(result, inputRounding);
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
        public double error(float[] result, double inputRounding) {
            return OpProblem.error(result, expected, bounds, SLACK);
        }
    }
}
