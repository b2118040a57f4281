package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.CosineReduce;
import ai.winnow.ir.CosineReduce.Reduction;
import ai.winnow.ir.LayerNorm;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Softmax;
import ai.winnow.ir.StatisticalTopK;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Ops of sparsity methods, and of models beyond the Llama kind. */
public final class MethodCases {

    /** Rows of a and of b, width: below, at and above tiles and blocks of products. */
    private static final int[][] PAIRS = {
        {1, 1, 3},
        {1, 2, 8},
        {5, 3, 7},
        {6, 33, 16},
        {7, 31, 17},
        {13, 64, 33},
        {49, 65, 31},
        {97, 257, 16},
        {3, 600, 300},
    };

    private MethodCases() {}

    static List<OpCase> all() {
        List<OpCase> cases = new ArrayList<>();
        for (int[] size : OpCases.SIZES) {
            for (Phase phase : LinearCases.phases(size[0])) {
                cases.add(layerNorm(phase, size[0], size[1]));
                cases.add(softmax(phase, size[0], size[1], 3));
                cases.add(softmax(phase, size[0], size[1], 60));
                cases.add(maskedSoftmax(phase, size[0], size[1]));
                for (StatisticalTopK.Dropped dropped : StatisticalTopK.Dropped.values()) {
                    cases.add(statisticalTopK(phase, size[0], size[1], dropped));
                }
            }
        }
        for (int width : List.of(1, 7, 16, 33, 257)) {
            for (boolean add : List.of(false, true)) {
                cases.add(scatter(add, 1, width, 0));
                cases.add(scatter(add, 3, width, 0, 1, 2));
                cases.add(scatter(add, 13, width, 4, 7, 12));
                cases.add(scatter(add, 13, width, 7, 4, 7, 0)); // not ascending, one twice
                cases.add(scatter(add, 33, width));
            }
        }
        cases.add(scatter(false, 300, 257, 5, 3, 299));
        cases.add(scatter(true, 300, 257, 5, 5, 299));
        for (int[] pair : PAIRS) {
            for (Reduction reduction :
                    List.of(new Reduction.Greatest(), new Reduction.CountAbove(0.1f), new Reduction.Sum())) {
                cases.add(cosineReduce(reduction, pair[0], pair[1], pair[2]));
                cases.add(cosineReduceOthers(reduction, pair[1], pair[2]));
            }
        }
        return cases;
    }

    public static OpCase layerNorm(Phase phase, int rows, int width) {
        TensorSpec row = TensorSpec.of(DType.F32, width);
        return OpCases.of(
                new LayerNorm(width, 1e-5f),
                phase,
                rows,
                new Tolerance.OfGreatest(16 + width / 16),
                "",
                OpCases.given(rows, width, Fill.uniform(-1, 3)),
                new Given(row, Kind.WEIGHT, Fill.normal(1)),
                new Given(row, Kind.WEIGHT, Fill.normal(1)));
    }

    public static OpCase softmax(Phase phase, int rows, int width, double deviation) {
        return softmax(phase, rows, width, "deviation " + deviation, Fill.normal(deviation));
    }

    /** Most scores do not count; in short rows none. */
    private static OpCase maskedSoftmax(Phase phase, int rows, int width) {
        float masked = Float.NEGATIVE_INFINITY;
        return softmax(phase, rows, width, "masked", Fill.oneOf(masked, masked, masked, -2, 0.5f));
    }

    private static OpCase softmax(Phase phase, int rows, int width, String what, Fill fill) {
        return OpCases.of(
                new Softmax(),
                phase,
                rows,
                new Tolerance.OfResult(12),
                width + " " + what,
                OpCases.given(rows, width, fill));
    }

    public static OpCase statisticalTopK(Phase phase, int rows, int width, StatisticalTopK.Dropped dropped) {
        int keep = Math.max(1, width / 8);
        return OpCases.of(
                keep < width ? StatisticalTopK.keeping(keep, width, dropped) : new StatisticalTopK(width, 1, dropped),
                phase,
                rows,
                new Tolerance.OfGreatestInput(16),
                "",
                OpCases.given(rows, width, Fill.normal(2)));
    }

    /** Rows put back, or added, where {@code indices} says. */
    public static OpCase scatter(boolean add, int rows, int width, int... indices) {
        Dim listed = new Dim.AtMost(indices.length + 2, "kept");
        Op op = add ? new Primitive.ScatterAdd() : new Primitive.Scatter();
        List<Given> operands = List.of(
                OpCases.given(rows, width, Fill.normal(1)),
                new Given(TensorSpec.rows(DType.I32, listed), Kind.ACTIVATION, Fill.listed(indices)),
                new Given(TensorSpec.rows(DType.F32, listed, width), Kind.ACTIVATION, Fill.normal(1)));
        String which = indices.length > 4 ? indices.length + " rows" : Arrays.toString(indices);
        return new OpCase(
                op.name() + " " + which + " of " + rows + " of " + width,
                op,
                Phase.PREFILL,
                operands,
                Map.of("tokens", rows, "kept", indices.length),
                new Tolerance.Exact());
    }

    public static OpCase cosineReduce(Reduction reduction, int m, int n, int width) {
        Given others = new Given(
                TensorSpec.rows(DType.F32, new Dim.AtMost(n + 3, "others"), width), Kind.ACTIVATION, Fill.normal(2));
        return cosineReduce(
                new CosineReduce(reduction, false),
                m + " with " + n + " of " + width,
                List.of(OpCases.given(m, width, Fill.normal(1)), others),
                Map.of("tokens", m, "others", n),
                n + width);
    }

    public static OpCase cosineReduceOthers(Reduction reduction, int rows, int width) {
        return cosineReduce(
                new CosineReduce(reduction, true),
                rows + " of " + width,
                List.of(OpCases.given(rows, width, Fill.normal(1))),
                Map.of("tokens", rows),
                rows + width);
    }

    private static OpCase cosineReduce(
            CosineReduce op, String size, List<Given> operands, Map<String, Integer> extents, int terms) {
        Tolerance tolerance =
                op.reduction() instanceof Reduction.CountAbove ? new Tolerance.Exact() : new Tolerance.Chain(terms);
        return new OpCase(op.name() + " " + size, op, Phase.PREFILL, operands, extents, tolerance);
    }
}
