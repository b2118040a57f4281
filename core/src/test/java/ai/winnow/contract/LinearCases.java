package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.SparseLinear;
import ai.winnow.ir.WeightStructure;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** Linear layers and their sparse kin. */
public final class LinearCases {

    /** The types a weight may be kept in. */
    public static final List<DType> WEIGHT_TYPES = List.of(DType.F32, DType.BF16, DType.F16, DType.I8, DType.I4);

    /** Rows, inputs, outputs: one, around 4, 8 and 16 lanes, around tiles of 1 to 4 vectors and 12 rows, primes; three that are worth several threads. */
    private static final int[][] SIZES = {
        {1, 1, 1},
        {1, 3, 5},
        {1, 4, 4},
        {1, 5, 3},
        {1, 7, 9},
        {1, 8, 8},
        {1, 15, 17},
        {1, 16, 16},
        {1, 17, 15},
        {1, 31, 33},
        {1, 64, 64},
        {1, 65, 63},
        {1, 127, 131},
        {1, 257, 96},
        {2, 13, 61},
        {2, 128, 48},
        {3, 63, 65},
        {3, 96, 31},
        {7, 33, 127},
        {7, 61, 13},
        {11, 32, 47},
        {12, 64, 32},
        {12, 191, 49},
        {13, 65, 64},
        {13, 48, 97},
        {33, 67, 35},
        {33, 128, 7},
        // Enough to read that several threads share it: narrow, wide, and several rows.
        {1, 1031, 520},
        {1, 131, 2113},
        {13, 517, 520},
        // Several slabs of outputs, and several groups of int4 for each thread.
        {1, 61, 16500},
        {1, 200, 2500},
    };

    private LinearCases() {}

    /** Rows of a step, of which two more could be there. */
    static Dim steps(int rows) {
        return new Dim.AtMost(rows + 2, "tokens");
    }

    /** A step of few rows is one of decoding, of many one of prefill; of some, either. */
    static List<Phase> phases(int rows) {
        return rows <= 2
                ? List.of(Phase.DECODE)
                : rows < 12 ? List.of(Phase.DECODE, Phase.PREFILL) : List.of(Phase.PREFILL);
    }

    public static OpCase linear(Phase phase, int rows, int in, int out, DType type, boolean bias) {
        return of(new Linear(bias), phase, rows, in, out, type, Fill.normal(1), List.of(), bias);
    }

    /** A dense op over a weight that is zero where {@code structure} says, F32 or BF16. */
    public static OpCase sparseWeight(
            Phase phase, int rows, int in, int out, DType type, WeightStructure structure, boolean bias) {
        OpCase dense = linear(phase, rows, in, out, type, bias);
        List<Given> operands = new ArrayList<>(dense.operands());
        TensorSpec spec = operands.get(1).spec();
        Fill fill = Fill.structured(structure, 1 / Math.sqrt(in));
        operands.set(1, new Given(spec, Kind.WEIGHT, fill, structure));
        String name = dense.name() + " " + structure;
        return new OpCase(name, dense.op(), phase, operands, dense.extents(), dense.tolerance());
    }

    /** {@code density} of a weight is not zero, anywhere. */
    public static WeightStructure unstructured(int in, int out, double density) {
        return new WeightStructure.Unstructured(Math.round(density * in * out));
    }

    /** {@code density} of a weight's blocks of 16 outputs of an input is not zero. */
    public static WeightStructure blocks(int in, int out, double density) {
        int panels = (out + 15) / 16;
        return new WeightStructure.Blocks16x1(Math.round(density * in * panels));
    }

    /** Every size with zeros of every kind; all zeros and none in the small ones. */
    public static List<OpCase> sparseWeights() {
        List<OpCase> cases = new ArrayList<>();
        for (int[] size : SIZES) {
            int in = size[1];
            int out = size[2];
            Set<WeightStructure> structures = new LinkedHashSet<>(
                    List.of(unstructured(in, out, 0.5), new WeightStructure.NOfM(2, 4), blocks(in, out, 0.4)));
            if (in * out < 1500) {
                structures.add(unstructured(in, out, 0.05));
                structures.add(unstructured(in, out, 0));
                structures.add(unstructured(in, out, 1));
                structures.add(blocks(in, out, 1));
            }
            for (WeightStructure structure : structures) {
                for (DType type : List.of(DType.F32, DType.BF16)) {
                    for (Phase phase : phases(size[0])) {
                        cases.add(sparseWeight(phase, size[0], in, out, type, structure, in % 2 == 1));
                    }
                }
            }
        }
        return cases;
    }

    /** @param x how the inputs are filled */
    public static OpCase sparse(
            Phase phase, int rows, int in, int out, DType type, InputSelection selection, Fill x, boolean bias) {
        Op op = new SparseLinear(selection, bias);
        return of(op, phase, rows, in, out, type, x, selectionOperand(selection, in), bias);
    }

    /** About half of the outputs are computed; a few masks are NaN, which is set, or -0, which is not. */
    public static OpCase masked(Phase phase, int rows, int in, int out, DType type, boolean bias) {
        Given mask = new Given(
                TensorSpec.rows(DType.F32, steps(rows), out),
                Kind.ACTIVATION,
                Fill.oneOf(0, 0, -0f, 1, 0.5f, Float.NaN));
        return of(new MaskedLinear(bias), phase, rows, in, out, type, Fill.normal(1), List.of(mask), bias);
    }

    /** The operand that goes with {@code selection}: about half of normally distributed inputs stay below the thresholds. */
    private static List<Given> selectionOperand(InputSelection selection, int in) {
        TensorSpec spec = TensorSpec.of(DType.F32, in);
        return switch (selection) {
            case InputSelection.ChannelThreshold _ -> List.of(new Given(spec, Kind.WEIGHT, Fill.uniform(0, 1.5)));
            case InputSelection.WeightedTopK _ -> List.of(new Given(spec, Kind.WEIGHT, Fill.uniform(0.5, 2)));
            case InputSelection.Threshold _, InputSelection.TopK _ -> List.of();
        };
    }

    private static OpCase of(
            Op op, Phase phase, int rows, int in, int out, DType type, Fill x, List<Given> between, boolean bias) {
        List<Given> operands = new ArrayList<>();
        operands.add(new Given(TensorSpec.rows(DType.F32, steps(rows), in), Kind.ACTIVATION, x));
        operands.add(new Given(TensorSpec.of(type, out, in), Kind.WEIGHT, Fill.normal(1 / Math.sqrt(in))));
        operands.addAll(between);
        if (bias) {
            operands.add(new Given(TensorSpec.of(DType.F32, out), Kind.WEIGHT, Fill.normal(1)));
        }
        String name =
                op.name() + (bias ? " + bias " : " ") + phase + " " + rows + " x " + in + " -> " + out + " " + type;
        return new OpCase(name, op, phase, operands, Map.of("tokens", rows), new Tolerance.Chain(in));
    }

    /** Every size, type and phase, without and with bias. */
    public static List<OpCase> dense() {
        return sizes((phase, rows, in, out, type) ->
                Stream.of(linear(phase, rows, in, out, type, false), linear(phase, rows, in, out, type, true)));
    }

    public static List<OpCase> masked() {
        return sizes((phase, rows, in, out, type) -> Stream.of(masked(phase, rows, in, out, type, in % 2 == 0)));
    }

    /** Every selection; inputs normally distributed, and inputs of few magnitudes that tie with one another and the threshold. */
    public static List<OpCase> sparse() {
        return sizes((phase, rows, in, out, type) -> selections(in).stream().flatMap(selection -> {
            OpCase normal = sparse(phase, rows, in, out, type, selection, Fill.normal(1), in % 2 == 0);
            Fill few = Fill.oneOf(-1, -0.5f, 0, 0.5f, 1, 2);
            return type == DType.F32 // what is selected does not depend on the weight's type
                    ? Stream.of(normal, tied(sparse(phase, rows, in, out, type, selection, few, false)))
                    : Stream.of(normal);
        }));
    }

    private static OpCase tied(OpCase declared) {
        return new OpCase(
                declared.name() + " tied",
                declared.op(),
                declared.phase(),
                declared.operands(),
                declared.extents(),
                declared.tolerance());
    }

    private static List<InputSelection> selections(int in) {
        return List.of(
                new InputSelection.Threshold(0.5f),
                new InputSelection.Threshold(2.5f), // nearly nothing, and of small layers nothing
                new InputSelection.ChannelThreshold(),
                new InputSelection.TopK((in + 1) / 2),
                new InputSelection.WeightedTopK((in + 2) / 3));
    }

    private interface Sized {
        Stream<OpCase> of(Phase phase, int rows, int in, int out, DType type);
    }

    private static List<OpCase> sizes(Sized sized) {
        List<OpCase> cases = new ArrayList<>();
        for (int[] size : SIZES) {
            for (Phase phase : phases(size[0])) {
                for (DType type : WEIGHT_TYPES) {
                    sized.of(phase, size[0], size[1], size[2], type).forEach(cases::add);
                }
            }
        }
        return cases;
    }
}
