package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Entry.Sparse;
import ai.winnow.ir.Activation;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseLinear;
import ai.winnow.ir.ThresholdSelect;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.runtime.GraphRunner;
import ai.winnow.runtime.Weights;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;

/**
 * A gated feed-forward network of one row, {@code down(silu(gate(x)) * up(x))}: a graph, planned and run as a model's, with the
 * nodes that the methods of sparsity-activation put into it.
 */
record FeedForwardProblem(Label label, int hidden, int intermediate, Method method, float sparsity) implements Problem {

    /** What is skipped. */
    enum Method {
        NOTHING,
        /** Rows of up and columns of down where the activation is small: CATS. */
        SMALL_ACTIVATIONS,
        /** Columns of all three where their input is small: TEAL. */
        SMALL_INPUTS
    }

    static FeedForwardProblem dense(int hidden, int intermediate, DType type) {
        Label label = Label.of("ffn", type, intermediate + "x" + hidden);
        return new FeedForwardProblem(label, hidden, intermediate, Method.NOTHING, 0);
    }

    static FeedForwardProblem cats(int hidden, int intermediate, DType type, float sparsity) {
        Label label = dense(hidden, intermediate, type).label.with("method", "cats");
        return new FeedForwardProblem(
                label.with("sparsity", sparsity), hidden, intermediate, Method.SMALL_ACTIVATIONS, sparsity);
    }

    static FeedForwardProblem teal(int hidden, int intermediate, DType type, float sparsity) {
        Label label = dense(hidden, intermediate, type).label.with("method", "teal");
        return new FeedForwardProblem(
                label.with("sparsity", sparsity), hidden, intermediate, Method.SMALL_INPUTS, sparsity);
    }

    @Override
    public Entry open(Ours ours) {
        FeedForwardNumbers numbers = FeedForwardNumbers.of(hidden, intermediate, method, sparsity);
        double bytes = 3.0 * label.type().bytes((long) hidden * intermediate);
        Subject subject = subject(method, numbers, bytes * numbers.share(), ours);
        Work work = Work.read(bytes * numbers.share());
        if (method == Method.NOTHING) {
            return Entry.dense(subject, work, numbers::error, null);
        }
        String name = "ffn " + label.type() + label.shape();
        Dense dense = ours.dense(name, () -> new Dense(name, subject(Method.NOTHING, numbers, bytes, ours), null));
        return new Entry(subject, work, numbers::error, new Sparse(dense, numbers.share()), null);
    }

    /** @param bytes that a run reads */
    private Subject subject(Method skipped, FeedForwardNumbers numbers, double bytes, Ours ours) {
        Arena arena = new Memory().arena();
        Tensor x = Tensor.copyOf(arena, numbers.x(), 1, hidden);
        Graph graph = graph(skipped, numbers);
        List<Weights> weights = new ArrayList<>();
        List<GraphRunner> runners = new ArrayList<>();
        while (runners.size() < Rotation.copies((long) bytes)) {
            weights.add(new Weights(numbers));
            runners.add(new GraphRunner(graph, weights.getLast(), ours.backends(), ours.workers(), name -> x));
        }
        return new Rotation<>(
                "graph",
                runners,
                each -> each.run(null),
                each -> each.run(null).getFirst().toFloats(),
                () -> {
                    runners.forEach(GraphRunner::close);
                    weights.forEach(Weights::close);
                    arena.close();
                });
    }

    private Graph graph(Method skipped, FeedForwardNumbers numbers) {
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        Value x = builder.input("x", TensorSpec.of(DType.F32, 1, hidden));
        Value gateWeight = weight(builder, FeedForwardNumbers.GATE, intermediate, hidden);
        Value upWeight = weight(builder, FeedForwardNumbers.UP, intermediate, hidden);
        Value downWeight = weight(builder, FeedForwardNumbers.DOWN, hidden, intermediate);
        boolean cats = skipped == Method.SMALL_ACTIVATIONS;
        boolean teal = skipped == Method.SMALL_INPUTS;
        Op wide = teal ? aboveThreshold(numbers.inputThreshold()) : new Linear(false);
        Value gate = builder.add(wide, Site.of(0, Role.GATE), x, gateWeight);
        Value active = builder.add(new Activation(Activation.Kind.SILU), Site.of(0, Role.ACTIVATION), gate);
        Value up;
        if (cats) {
            active = builder.add(new ThresholdSelect(numbers.innerThreshold()), Site.of(0, Role.ACTIVATION), active);
            up = builder.add(new MaskedLinear(false), Site.of(0, Role.UP), x, upWeight, active);
        } else {
            up = builder.add(wide, Site.of(0, Role.UP), x, upWeight);
        }
        Value product = builder.add(new Binary(Binary.Operator.MUL), Site.of(0, Role.PRODUCT), active, up);
        Op narrow = skipped == Method.NOTHING ? new Linear(false) : aboveThreshold(teal ? numbers.innerThreshold() : 0);
        Value down = builder.add(narrow, Site.of(0, Role.DOWN), product, downWeight);
        return builder.build(List.of(down));
    }

    private static Op aboveThreshold(float threshold) {
        return new SparseLinear(new InputSelection.Threshold(threshold), false);
    }

    private Value weight(GraphBuilder builder, String name, int out, int in) {
        return builder.weight(WeightRef.model(name, TensorSpec.of(label.type(), out, in)));
    }
}
