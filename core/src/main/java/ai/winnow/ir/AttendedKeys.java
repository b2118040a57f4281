package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * How much the last rows of each tile attend to each key: columns of dense {@link Attention}'s probabilities, reduced over those rows and the
 * query heads that share a list, without the map being stored. Inputs: those of {@link Attention}; output {@code F32 [tiles, lists *
 * contextLength]}, the scores that {@link SelectKeys} takes for units of one key. A key that a row does not see has probability 0 for it;
 * what lies behind the last key that the tile sees means nothing.
 *
 * @param probes rows of a tile that count, from its last one backwards; fewer where it has fewer
 * @param denseUpTo up to how many keys the result is not asked for and means nothing
 */
public record AttendedKeys(Attention attention, KeyLists keys, int probes, Reduction reduction, int denseUpTo)
        implements Fused.Defined {

    /** What becomes of the probabilities of a key. */
    public enum Reduction {
        /** The greatest. */
        GREATEST,
        /** The sum. */
        SUM
    }

    public AttendedKeys {
        int queryHeads = attention.queryHeads();
        int lists = keys.lists();
        int rows = probes;
        Inference.require(
                attention.shape().equals(keys.shape()) && queryHeads % lists == 0 && rows >= 1,
                () -> rows + " probing rows, " + lists + " lists a tile of " + keys.shape() + " for " + queryHeads
                        + " query heads over " + attention.shape());
    }

    /** Query heads that share a list. */
    public int group() {
        return attention.queryHeads() / keys.lists();
    }

    @Override
    public String name() {
        return "AttendedKeys[" + reduction + " of " + probes + " rows]";
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        attention.infer(inputs);
        Dim tiles = keys.tileDim(inputs.get(1), inputs.get(2));
        long width = (long) keys.lists() * keys.shape().contextLength();
        return List.of(TensorSpec.rows(DType.F32, tiles, width));
    }

    @Override
    public void evaluate(Operands operands) {
        ExactAttention exact = new ExactAttention(attention, operands, 1);
        keys.forEachTile(operands.in(2), operands.inRows(0), (tile, sequence, from, to) -> {
            for (int list = 0; list < keys.lists(); list++) {
                int end = exact.end(to - 1, keys.head(list));
                if (end > denseUpTo) {
                    double[] columns = new double[end];
                    for (int row = Math.max(from, to - probes); row < to; row++) {
                        for (int g = 0; g < group(); g++) {
                            add(exact, row, list * group() + g, columns);
                        }
                    }
                    long at = ((long) tile * keys.lists() + list) * keys.shape().contextLength();
                    for (int key = 0; key < end; key++) {
                        DType.F32.setFloat(operands.out(0), at + key, (float) columns[key]);
                    }
                }
            }
        });
    }

    private void add(ExactAttention exact, int row, int head, double[] columns) {
        int end = exact.end(row, head / attention.group());
        int begin = exact.begin(end);
        double[] scores = exact.scores(row, head, begin, end, key -> true);
        double log = ScoredAttention.logOfSum(scores);
        for (int i = 0; i < scores.length; i++) {
            double share = Math.exp(scores[i] - log);
            double other = columns[begin + i];
            columns[begin + i] = reduction == Reduction.SUM ? other + share : Math.max(other, share);
        }
    }
}
