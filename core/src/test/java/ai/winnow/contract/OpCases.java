package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.Activation;
import ai.winnow.ir.Embedding;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.RmsNorm;
import ai.winnow.ir.Rotary;
import ai.winnow.ir.ThresholdSelect;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The catalogue of what every backend is tested with. */
public final class OpCases {

    /** Rows, width. */
    static final int[][] SIZES = {
        {1, 1}, {1, 3}, {2, 5}, {1, 7}, {3, 8}, {1, 9}, {7, 15}, {1, 16}, {12, 17}, {2, 31}, {13, 33}, {1, 63}, {3, 64},
        {1, 65}, {33, 67}, {7, 128}, {1, 257}, {2, 1009},
    };

    private OpCases() {}

    /** Every op that a graph of the Llama kind needs, dense or with sparse activations, in prefill and decode. */
    public static List<OpCase> llama() {
        List<OpCase> cases = new ArrayList<>();
        cases.addAll(embeddings());
        cases.addAll(norms());
        cases.addAll(rotaries());
        cases.addAll(elementwise());
        cases.addAll(gathers());
        cases.addAll(LinearCases.dense());
        cases.addAll(LinearCases.sparse());
        cases.addAll(LinearCases.masked());
        cases.addAll(LinearCases.sparseWeights());
        cases.addAll(AttentionCases.all());
        return List.copyOf(cases);
    }

    /** Every op that backends may have kernels of. */
    public static List<OpCase> all() {
        List<OpCase> cases = new ArrayList<>(llama());
        cases.addAll(MethodCases.all());
        cases.addAll(KeyListCases.all());
        cases.addAll(PlaneCases.all());
        cases.addAll(PackedCases.all());
        return List.copyOf(cases);
    }

    public static OpCase embedding(Phase phase, int rows, int vocabulary, int hidden, DType type) {
        return of(
                new Embedding(),
                phase,
                rows,
                new Tolerance.Exact(),
                vocabulary + " x " + hidden + " " + type,
                new Given(TensorSpec.rows(DType.I32, LinearCases.steps(rows)), Kind.ACTIVATION, Fill.below(vocabulary)),
                new Given(TensorSpec.of(type, vocabulary, hidden), Kind.WEIGHT, Fill.normal(1)));
    }

    public static OpCase rmsNorm(Phase phase, int rows, int groups, int width, int divisor) {
        return of(
                new RmsNorm(width, 1e-5f, divisor),
                phase,
                rows,
                new Tolerance.Chain(width),
                groups + " groups",
                given(rows, groups * width, Fill.normal(2)),
                new Given(TensorSpec.of(DType.F32, width), Kind.WEIGHT, Fill.normal(1)));
    }

    public static OpCase rotary(Phase phase, int rows, int heads, Rotary op) {
        int positions = 50;
        TensorSpec table = TensorSpec.of(DType.F32, positions, op.rotaryDim() / 2);
        return of(
                op,
                phase,
                rows,
                new Tolerance.OfGreatest(4),
                heads + " heads",
                given(rows, heads * op.headDim(), Fill.normal(1)),
                new Given(table, Kind.WEIGHT, Fill.uniform(-1, 1)),
                new Given(table, Kind.WEIGHT, Fill.uniform(-1, 1)),
                new Given(TensorSpec.rows(DType.I32, LinearCases.steps(rows)), Kind.ACTIVATION, Fill.below(positions)));
    }

    public static OpCase activation(Phase phase, int rows, int width, Activation.Kind kind, double deviation) {
        Tolerance tolerance = kind == Activation.Kind.RELU ? new Tolerance.Exact() : new Tolerance.OfInput(8);
        return of(
                new Activation(kind),
                phase,
                rows,
                tolerance,
                width + " deviation " + deviation,
                given(rows, width, Fill.normal(deviation)));
    }

    public static OpCase binary(Phase phase, int rows, int width, Primitive.Binary.Operator operator) {
        return of(
                new Primitive.Binary(operator),
                phase,
                rows,
                new Tolerance.Exact(),
                "" + width,
                given(rows, width, Fill.normal(1)),
                given(rows, width, Fill.normal(1)));
    }

    public static OpCase thresholdSelect(Phase phase, int rows, int width, float threshold) {
        return of(
                new ThresholdSelect(threshold),
                phase,
                rows,
                new Tolerance.Exact(),
                "" + width,
                given(rows, width, Fill.oneOf(-1, -0.5f, -0f, 0, 0.25f, 0.5f, 3)));
    }

    /** Rows {@code wanted} of this step's: the last row of each sequence, say. */
    public static OpCase gather(Phase phase, int rows, int width, int... wanted) {
        TensorSpec indices = TensorSpec.rows(DType.I32, new Dim.AtMost(wanted.length + 2, "outputs"));
        List<Given> operands =
                List.of(given(rows, width, Fill.normal(1)), new Given(indices, Kind.ACTIVATION, Fill.listed(wanted)));
        return new OpCase(
                "Gather " + phase + " " + wanted.length + " of " + rows + " rows of " + width,
                new Primitive.Gather(),
                phase,
                operands,
                Map.of("tokens", rows, "outputs", wanted.length),
                new Tolerance.Exact());
    }

    static Given given(int rows, int width, Fill fill) {
        return new Given(TensorSpec.rows(DType.F32, LinearCases.steps(rows), width), Kind.ACTIVATION, fill);
    }

    static OpCase of(Op op, Phase phase, int rows, Tolerance tolerance, String size, Given... operands) {
        String name = op.name() + " " + phase + " " + rows + " rows, " + size;
        return new OpCase(name, op, phase, List.of(operands), Map.of("tokens", rows), tolerance);
    }

    private static List<OpCase> embeddings() {
        List<OpCase> cases = new ArrayList<>();
        for (DType type : LinearCases.WEIGHT_TYPES) {
            for (int[] size : SIZES) {
                for (Phase phase : LinearCases.phases(size[0])) {
                    cases.add(embedding(phase, size[0], 37, size[1], type));
                }
            }
        }
        return cases;
    }

    private static List<OpCase> norms() {
        List<OpCase> cases = new ArrayList<>();
        for (int[] size : SIZES) {
            for (Phase phase : LinearCases.phases(size[0])) {
                cases.add(rmsNorm(phase, size[0], 1, size[1], size[1]));
                cases.add(rmsNorm(phase, size[0], 1, size[1], size[1] + 5));
                cases.add(rmsNorm(phase, size[0], 3, size[1], size[1]));
            }
        }
        return cases;
    }

    private static List<OpCase> rotaries() {
        List<OpCase> cases = new ArrayList<>();
        for (Rotary.Pairing pairing : Rotary.Pairing.values()) {
            for (int headDim : List.of(2, 8, 16, 20, 64, 96, 128)) {
                for (int rotaryDim : headDim > 8 ? List.of(headDim, headDim / 4 * 2, 6) : List.of(headDim)) {
                    Rotary op = new Rotary(headDim, rotaryDim, pairing);
                    cases.add(rotary(Phase.DECODE, 1, 3, op));
                    cases.add(rotary(Phase.PREFILL, 13, 2, op));
                }
            }
        }
        return cases;
    }

    private static List<OpCase> elementwise() {
        List<OpCase> cases = new ArrayList<>();
        for (int[] size : SIZES) {
            for (Phase phase : LinearCases.phases(size[0])) {
                for (Activation.Kind kind : Activation.Kind.values()) {
                    cases.add(activation(phase, size[0], size[1], kind, 2));
                    cases.add(activation(phase, size[0], size[1], kind, 60));
                }
                cases.add(binary(phase, size[0], size[1], Primitive.Binary.Operator.ADD));
                cases.add(binary(phase, size[0], size[1], Primitive.Binary.Operator.MUL));
                cases.add(thresholdSelect(phase, size[0], size[1], 0));
                cases.add(thresholdSelect(phase, size[0], size[1], 0.5f));
            }
        }
        return cases;
    }

    private static List<OpCase> gathers() {
        List<OpCase> cases = new ArrayList<>();
        for (int width : List.of(1, 7, 16, 33, 257)) {
            cases.add(gather(Phase.DECODE, 1, width, 0));
            cases.add(gather(Phase.DECODE, 3, width, 0, 1, 2));
            cases.add(gather(Phase.PREFILL, 13, width, 4, 12));
            cases.add(gather(Phase.PREFILL, 33, width));
        }
        return cases;
    }
}
