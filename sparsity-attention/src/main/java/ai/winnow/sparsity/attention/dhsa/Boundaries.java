package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.ir.Fused;
import ai.winnow.ir.Inference;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Where the chunks of each sequence begin, over all keys it has with this step's. Inputs: the operands of {@link CachedKeys}, then those
 * that the rule reads; outputs: {@code starts I32 [sequences, mostChunks]}, ascending from 0, and {@code counts I32 [sequences]}; what lies
 * behind those counted means nothing. Comes after {@link ai.winnow.ir.KvAppend} of its layer.
 *
 * @param layer whose keys are looked at
 */
record Boundaries(KvShape shape, int layer, Rule rule) implements Fused.Defined {

    /** How boundaries are found. */
    sealed interface Rule {
        /** The most chunks of a text of {@code tokens}. */
        int most(int tokens);

        /** Chunks of {@code chunk} tokens; the last may be short. */
        record Fixed(int chunk) implements Rule {
            public Fixed {
                int tokens = chunk;
                Inference.require(tokens >= 1, () -> "a chunk has at least 1 token, not " + tokens);
            }

            @Override
            public int most(int tokens) {
                return Math.max(1, (tokens + chunk - 1) / chunk);
            }
        }

        /** Between windows of keys whose means point apart: a gap's logit is 1 less their cosine. */
        record Similarity(Cuts cuts) implements Rule {
            @Override
            public int most(int tokens) {
                return cuts.most(tokens);
            }
        }

        /** Where a trained predictor says so; it reads the weights of {@link Predictor#weights}. */
        record Predicted(Cuts cuts, Predictor predictor) implements Rule {
            @Override
            public int most(int tokens) {
                return cuts.most(tokens);
            }
        }
    }

    /** Room for the chunks of a sequence. */
    int mostChunks() {
        return rule.most(shape.contextLength());
    }

    /** What the two outputs are, of a step with slots as {@code slots}. */
    static List<TensorSpec> specs(TensorSpec slots, int mostChunks) {
        Dim sequences = slots.shape().rowDim();
        return List.of(TensorSpec.rows(DType.I32, sequences, mostChunks), TensorSpec.rows(DType.I32, sequences));
    }

    @Override
    public String name() {
        return "Boundaries[" + rule + "]";
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        List<TensorSpec> weights = rule instanceof Rule.Predicted predicted
                ? List.copyOf(predicted.predictor().weights().values())
                : List.of();
        Inference.requireInputs(this, inputs, CachedKeys.OPERANDS + weights.size());
        CachedKeys.require(this, inputs, 0, shape);
        if (rule instanceof Rule.Predicted predicted) {
            predicted.predictor().requireWidth(shape);
        }
        for (int i = 0; i < weights.size(); i++) {
            TensorSpec wanted = weights.get(i);
            TensorSpec found = inputs.get(CachedKeys.OPERANDS + i);
            Inference.require(
                    found.equals(wanted),
                    () -> name() + ": a weight of the predictor must be " + wanted + ", got " + found);
        }
        return specs(inputs.get(2), mostChunks());
    }

    @Override
    public void evaluate(Operands operands) {
        CachedKeys keys = new CachedKeys(shape, layer, operands, 0);
        for (int sequence = 0; sequence < keys.sequences(); sequence++) {
            int[] starts = keys.aligned(sequence) ? starts(keys, sequence) : new int[] {0};
            for (int i = 0; i < starts.length; i++) {
                operands.out(0).setAtIndex(ValueLayout.JAVA_INT, (long) sequence * mostChunks() + i, starts[i]);
            }
            operands.out(1).setAtIndex(ValueLayout.JAVA_INT, sequence, starts.length);
        }
    }

    private int[] starts(CachedKeys keys, int sequence) {
        int tokens = keys.total(sequence);
        if (tokens <= 0) {
            return new int[] {0};
        }
        return switch (rule) {
            case Rule.Fixed(int chunk) ->
                IntStream.range(0, rule.most(tokens)).map(i -> i * chunk).toArray();
            case Rule.Similarity(Cuts cuts) -> cuts.starts(apart(keys, sequence, tokens, cuts.window()));
            case Rule.Predicted(Cuts cuts, Predictor predictor) -> {
                float[] logits = new float[tokens];
                if (cuts.end(tokens) >= cuts.window()) {
                    predictor.new Run(keys.operands(), CachedKeys.OPERANDS, cuts.window())
                            .logits(keys, sequence, logits);
                }
                yield cuts.starts(logits);
            }
        };
    }

    /** For each gap 1 less the cosine of the mean keys of the windows before and behind it; of sums, which have the same. */
    private static float[] apart(CachedKeys keys, int sequence, int tokens, int window) {
        float[] apart = new float[tokens];
        int width = keys.width();
        for (int gap = window - 1; gap < tokens - window; gap++) {
            float[] rows = keys.rows(sequence, gap - window + 1, gap + window + 1);
            double[] left = new double[width];
            double[] right = new double[width];
            for (int i = 0; i < rows.length; i++) {
                (i < window * width ? left : right)[i % width] += rows[i];
            }
            apart[gap] = (float) (1 - Predictor.cosine(left, right));
        }
        return apart;
    }
}
