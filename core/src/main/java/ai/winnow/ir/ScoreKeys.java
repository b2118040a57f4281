package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;

/**
 * How well units of cached keys fit the queries of each tile, by what a plane says of them: the scores that {@link SelectKeys} chooses by.
 * The fit of a unit and a query head is {@code scale} times the product of the head's {@code width} numbers and the unit's. Inputs: {@code
 * query F32 [tiles, queryHeads * width]}, then {@code sequence, indptr, slots} of {@link StandardInputs}, the plane, and {@code table, lengths}
 * of {@link StandardInputs.Kv}; output {@code F32 [tiles, lists * unitsPerHead]}. Comes after the op that writes the plane. What lies behind
 * the unit of the last key that the tile sees means nothing.
 *
 * @param queryHeads heads of a query; those that share a list are reduced to one score
 * @param denseUpTo up to how many keys {@link SelectKeys} chooses all: their scores mean nothing
 */
public record ScoreKeys(
        KeyLists keys, int layer, KvPlane plane, int queryHeads, float scale, Reduction reduction, int denseUpTo)
        implements Fused.Defined {

    /** What becomes of the fits of the query heads that share a list. */
    public enum Reduction {
        /** The greatest. */
        GREATEST,
        /**
         * The sum over the heads of each one's softmax over the units that the tile's first row sees all keys of. The unit of the tile's first
         * row and those behind it have negative infinity: they are to be chosen by their place.
         */
        SHARES
    }

    public ScoreKeys {
        int lists = keys.lists();
        int heads = queryHeads;
        Inference.require(
                heads % lists == 0, () -> heads + " query heads cannot share " + lists + " lists of keys evenly");
    }

    /** Query heads that share a list. */
    public int group() {
        return queryHeads / keys.lists();
    }

    /** Units of a head whose cache is full. */
    public int unitsPerHead() {
        return (keys.shape().contextLength() + plane.unit() - 1) / plane.unit();
    }

    @Override
    public String name() {
        return "ScoreKeys[" + plane.name() + ", units of " + plane.unit() + ", " + reduction + "]";
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 7);
        Inference.requireRows(this, inputs, 0, (long) queryHeads * plane.width());
        Inference.requirePlane(this, inputs, 1, keys.shape(), plane);
        Dim tiles = keys.tileDim(inputs.get(1), inputs.get(2));
        Inference.require(
                inputs.getFirst().shape().rowDim().equals(tiles),
                () -> name() + ": the query must have a row for each of " + tiles + " tiles, got " + inputs.getFirst());
        return List.of(TensorSpec.rows(DType.F32, tiles, (long) keys.lists() * unitsPerHead()));
    }

    @Override
    public void evaluate(Operands operands) {
        keys.forEachTile(operands.in(2), operands.inRows(1), (tile, sequence, from, to) -> {
            int slot = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            int start = operands.in(2).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int list = 0; list < keys.lists(); list++) {
                int head = keys.head(list);
                int index = keys.shape().headIndex(slot, layer, head);
                int length = operands.in(6).getAtIndex(ValueLayout.JAVA_INT, index);
                int end = length + to - start;
                if (end <= denseUpTo) {
                    continue;
                }
                double[] scores = new double[(end + plane.unit() - 1) / plane.unit()];
                Arrays.fill(scores, reduction == Reduction.GREATEST ? Double.NEGATIVE_INFINITY : 0);
                for (int g = 0; g < group(); g++) {
                    double[] fits = fits(operands, tile, list * group() + g, slot, head, scores.length);
                    add(fits, (length + from - start + 1) / plane.unit(), scores);
                }
                int own = reduction == Reduction.SHARES ? (length + from - start) / plane.unit() : scores.length;
                for (int unit = 0; unit < scores.length; unit++) {
                    long at = ((long) tile * keys.lists() + list) * unitsPerHead() + unit;
                    float score = unit < own ? (float) scores[unit] : Float.NEGATIVE_INFINITY;
                    operands.out(0).setAtIndex(ValueLayout.JAVA_FLOAT, at, score);
                }
            }
        });
    }

    private double[] fits(Operands operands, int tile, int queryHead, int slot, int head, int units) {
        double[] fits = new double[units];
        for (int unit = 0; unit < units; unit++) {
            int key = unit * plane.unit();
            int page = KvAppend.page(keys.shape(), operands.in(5), slot, layer, head, key);
            double fit = 0;
            for (int j = 0; j < plane.width(); j++) {
                long query = ((long) tile * queryHeads + queryHead) * plane.width() + j;
                long at = plane.at(page, j, key % KvShape.PAGE_ROWS / plane.unit());
                fit += (double) operands.in(0).getAtIndex(ValueLayout.JAVA_FLOAT, query)
                        * plane.dtype().getFloat(operands.in(4), at);
            }
            fits[unit] = scale * fit;
        }
        return fits;
    }

    /** @param complete units that take part in the softmax */
    private void add(double[] fits, int complete, double[] scores) {
        if (reduction == Reduction.GREATEST) {
            Arrays.setAll(scores, unit -> Math.max(scores[unit], fits[unit]));
            return;
        }
        double most = Double.NEGATIVE_INFINITY;
        for (int unit = 0; unit < complete; unit++) {
            most = Math.max(most, fits[unit]);
        }
        double sum = 0;
        for (int unit = 0; unit < complete; unit++) {
            sum += Math.exp(fits[unit] - most);
        }
        for (int unit = 0; unit < complete; unit++) {
            scores[unit] += Math.exp(fits[unit] - most) / sum;
        }
    }
}
