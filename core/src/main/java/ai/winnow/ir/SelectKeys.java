package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Lists of keys from scores: the one service that chooses what attention sees. Keys are chosen in units of {@link #unit}; those a tile's
 * last row sees are there to choose from, the last unit may be short. Inputs: {@code scores F32 [tiles, lists * unitsPerHead]} unless the
 * rule needs none, then {@code sequence, indptr, slots} of {@link StandardInputs} and {@code lengths} of {@link StandardInputs.Kv};
 * outputs: the three tensors of {@link KeyLists}.
 *
 * @param unit keys of a unit: 1, 16, 32 or 64
 * @param rule which are chosen by score
 * @param first units that are always chosen, from the first on ("sinks")
 * @param recent units that are always chosen, up to the one of the tile's first row; those behind it are as well, if {@code recent > 0}
 * @param denseUpTo up to how many keys all are chosen, whatever their scores, which are not read then
 */
public record SelectKeys(KeyLists keys, int layer, int unit, KeyRule rule, int first, int recent, int denseUpTo)
        implements Fused.Defined {

    public SelectKeys {
        KvPlane.requireUnit(unit);
        int sinks = first;
        int window = recent;
        Inference.require(
                sinks >= 0 && window >= 0, () -> "cannot always choose " + sinks + " first and " + window + " recent");
        Inference.require(
                rule.needsScores() || sinks > 0 || window > 0, () -> "neither scores nor places choose any key");
    }

    /**
     * The op for lists as long as they can get.
     *
     * @param lists of a tile
     */
    public static SelectKeys of(
            KvShape shape,
            int layer,
            int lists,
            int tileRows,
            int unit,
            KeyRule rule,
            int first,
            int recent,
            int denseUpTo) {
        long forced = ((long) first + recent) * unit / KvShape.PAGE_ROWS + 3 + tileRows / KvShape.PAGE_ROWS;
        long chosen = rule instanceof KeyRule.TopK(int units) ? units : shape.pagesPerHead();
        long dense = (denseUpTo + KvShape.PAGE_ROWS - 1L) / KvShape.PAGE_ROWS;
        int most = (int) Math.min(shape.pagesPerHead(), Math.max(dense, forced + chosen));
        return new SelectKeys(new KeyLists(shape, lists, tileRows, most), layer, unit, rule, first, recent, denseUpTo);
    }

    /** Units of a head whose cache is full. */
    public int unitsPerHead() {
        return (keys.shape().contextLength() + unit - 1) / unit;
    }

    /** What the scores are. */
    public TensorSpec scores(TensorSpec sequence, TensorSpec indptr) {
        return TensorSpec.rows(DType.F32, keys.tileDim(sequence, indptr), (long) keys.lists() * unitsPerHead());
    }

    @Override
    public String name() {
        return "SelectKeys[" + rule + " of units of " + unit + (first > 0 ? ", first " + first : "")
                + (recent > 0 ? ", recent " + recent : "") + "]";
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        int at = rule.needsScores() ? 1 : 0;
        Inference.requireInputs(this, inputs, at + 4);
        for (int i = at; i < at + 4; i++) {
            Inference.requireType(this, inputs, i, DType.I32);
        }
        KvShape shape = keys.shape();
        TensorSpec lengths = TensorSpec.of(DType.I32, shape.slots(), shape.layers(), shape.heads());
        Inference.require(
                inputs.get(at + 3).equals(lengths),
                () -> name() + ": the lengths must be " + lengths + ", got " + inputs.get(at + 3));
        if (at > 0) {
            TensorSpec wanted = scores(inputs.get(at), inputs.get(at + 1));
            Inference.require(
                    inputs.getFirst().equals(wanted),
                    () -> name() + ": the scores must be " + wanted + ", got " + inputs.getFirst());
        }
        return keys.specs(inputs.get(at), inputs.get(at + 1));
    }

    @Override
    public void evaluate(Operands operands) {
        int at = rule.needsScores() ? 1 : 0;
        keys.forEachTile(operands.in(at + 1), operands.inRows(at), (tile, sequence, from, to) -> {
            int slot = operands.in(at + 2).getAtIndex(ValueLayout.JAVA_INT, sequence);
            int start = operands.in(at + 1).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int list = 0; list < keys.lists(); list++) {
                int length = operands.in(at + 3)
                        .getAtIndex(ValueLayout.JAVA_INT, keys.shape().headIndex(slot, layer, keys.head(list)));
                int end = length + to - start;
                boolean[] named = new boolean[end];
                if (end <= denseUpTo) {
                    Arrays.fill(named, true);
                } else {
                    choose(operands, tile, list, named);
                    place(named, length + from - start);
                }
                keys.write(operands, 0, tile, list, named);
            }
        });
    }

    private void name(boolean[] named, int chosen) {
        Arrays.fill(named, chosen * unit, Math.min(named.length, (chosen + 1) * unit), true);
    }

    private void choose(Operands operands, int tile, int list, boolean[] named) {
        if (!rule.needsScores()) {
            return;
        }
        int units = (named.length + unit - 1) / unit;
        float[] scores = new float[units];
        for (int i = 0; i < units; i++) {
            long index = ((long) tile * keys.lists() + list) * unitsPerHead() + i;
            scores[i] = operands.in(0).getAtIndex(ValueLayout.JAVA_FLOAT, index);
        }
        // Float.compare has NaN above all and -0 below 0; the sort is stable.
        int[] order = IntStream.range(0, units)
                .boxed()
                .sorted(Comparator.comparing((Integer i) -> scores[i], Float::compare)
                        .reversed())
                .mapToInt(i -> i)
                .toArray();
        int kept =
                switch (rule) {
                    case KeyRule.TopK(int most) -> Math.min(most, units);
                    case KeyRule.Above(float bound) ->
                        (int) IntStream.range(0, units)
                                .filter(i -> !(scores[i] <= bound))
                                .count();
                    case KeyRule.Mass(float share) -> mass(scores, order, share);
                    case KeyRule.ByPlace() -> 0;
                };
        for (int i = 0; i < kept; i++) {
            name(named, order[i]);
        }
    }

    private static int mass(float[] scores, int[] order, float share) {
        double total = 0;
        for (float score : scores) {
            total += score;
        }
        double sum = 0;
        int kept = 0;
        while (kept < order.length && (kept == 0 || !(sum >= share * total && Double.isFinite(total)))) {
            sum += scores[order[kept++]];
        }
        return kept;
    }

    /** Names what is chosen by its place; {@code last} is the key of the tile's first row. */
    private void place(boolean[] named, int last) {
        int units = (named.length + unit - 1) / unit;
        for (int i = 0; i < Math.min(first, units); i++) {
            name(named, i);
        }
        if (recent > 0) {
            for (int i = Math.max(0, last / unit + 1 - recent); i < units; i++) {
                name(named, i);
            }
        }
    }
}
