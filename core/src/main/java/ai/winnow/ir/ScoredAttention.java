package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.util.Arrays;
import java.util.List;

/**
 * {@link Attention} that also says how much each key was attended to, for a selection that later layers use. Inputs: those of {@link
 * Attention}; outputs: its result, then {@code scores F32 [rows, lists * contextLength]}: for each list and each key that the row sees the
 * base-2 logarithm of its probability, of the query heads that share the list the greatest. What lies behind the last key, or before a
 * window, means nothing.
 *
 * @param lists of a row: as many as key-value heads, or as query heads
 * @param denseUpTo up to how many keys {@link SelectKeys} chooses all: their scores mean nothing
 */
public record ScoredAttention(Attention attention, int lists, int denseUpTo) implements Fused.Defined {

    private static final double LN_2 = Math.log(2);

    public ScoredAttention {
        int heads = attention.shape().heads();
        int queryHeads = attention.queryHeads();
        int each = lists;
        Inference.require(
                each == heads || each == queryHeads,
                () -> each + " lists of scores are neither one a key-value head of " + heads
                        + " nor one a query head of " + queryHeads);
    }

    /** Query heads that share a list. */
    public int group() {
        return attention.queryHeads() / lists;
    }

    @Override
    public String name() {
        return "Scored" + attention.name();
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        TensorSpec result = attention.infer(inputs).getFirst();
        long width = (long) lists * attention.shape().contextLength();
        return List.of(result, TensorSpec.rows(DType.F32, result.shape().rowDim(), width));
    }

    @Override
    public void evaluate(Operands operands) {
        attention.evaluate(operands);
        ExactAttention exact = new ExactAttention(attention, operands, 1);
        for (int row = 0; row < operands.inRows(0); row++) {
            for (int list = 0; list < lists; list++) {
                int end = exact.end(row, list * group() / attention.group());
                if (end <= denseUpTo) {
                    continue;
                }
                int begin = exact.begin(end);
                double[] greatest = new double[end - begin];
                Arrays.fill(greatest, Double.NEGATIVE_INFINITY);
                for (int head = list * group(); head < (list + 1) * group(); head++) {
                    double[] scores = exact.scores(row, head, begin, end, key -> true);
                    double log = logOfSum(scores);
                    for (int i = 0; i < scores.length; i++) {
                        greatest[i] = Math.max(greatest[i], scores[i] - log);
                    }
                }
                long at = ((long) row * lists + list) * attention.shape().contextLength() + begin;
                for (int i = 0; i < greatest.length; i++) {
                    DType.F32.setFloat(operands.out(1), at + i, (float) (greatest[i] / LN_2));
                }
            }
        }
    }

    /** The natural logarithm of the sum of the exponentials of {@code scores}. */
    static double logOfSum(double[] scores) {
        double most = Double.NEGATIVE_INFINITY;
        for (double score : scores) {
            most = Math.max(most, score);
        }
        double sum = 0;
        for (double score : scores) {
            sum += Math.exp(score - most);
        }
        return most + Math.log(sum);
    }
}
