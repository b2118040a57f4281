package ai.winnow.sparsity.activation.cats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.ir.Activation;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.GraphCheck;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseLinear;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.reference.Interpreter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The worked example of the method's card: hidden size 2, four neurons. */
class GatedNetworksTest {

    private static final Map<String, float[]> WEIGHTS = Map.of(
            "gate", new float[] {1, 0, 0, 1, 1, -1, -2, 0.5f},
            // Of up the example gives up(x) = (2, 0.5, 3, 1.5) only; with x = (1, 0.5) these rows do.
            "up", new float[] {2, 0, 0, 1, 3, 0, 1, 1},
            "down", new float[] {1, 0, 2, 1, 0, 1, -1, 1});

    private static final float[] X = {1, 0.5f};

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    private static Graph network(boolean upFirst, boolean swapped) {
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        Value x = builder.input("x", TensorSpec.of(DType.F32, 1, 2));
        Value early = upFirst ? linear(builder, Role.UP, x, "up", 4, 2) : x;
        Value gate = linear(builder, Role.GATE, x, "gate", 4, 2);
        Value active = builder.add(new Activation(Activation.Kind.SILU), Site.of(0, Role.ACTIVATION), gate);
        Value up = upFirst ? early : linear(builder, Role.UP, x, "up", 4, 2);
        Value product = builder.add(
                        new Binary(Binary.Operator.MUL),
                        Site.of(0, Role.PRODUCT),
                        swapped ? List.of(up, active) : List.of(active, up))
                .getFirst();
        return builder.build(List.of(linear(builder, Role.DOWN, product, "down", 2, 4)));
    }

    private static Value linear(GraphBuilder builder, Role role, Value x, String name, long out, long in) {
        Value weight = builder.weight(WeightRef.model(name, TensorSpec.of(DType.F32, out, in)));
        return builder.add(new Linear(false), Site.of(0, role), x, weight);
    }

    private float[] run(Graph graph, float... x) {
        return Interpreter.run(
                        graph,
                        Map.of("x", Tensor.copyOf(arena, x, 1, 2)),
                        ref -> Tensor.copyOf(
                                arena,
                                Objects.requireNonNull(WEIGHTS.get(ref.name())),
                                ref.spec().shape().max(0),
                                ref.spec().shape().max(1)),
                        arena)
                .getFirst()
                .toFloats();
    }

    private float[] run(float threshold, float... x) {
        return run(GatedNetworks.of(network(false, false)).withThresholds(site -> threshold), x);
    }

    @Test
    void denseGivesTheCardsDigits() {
        assertThat(run(network(false, false), X)).containsExactly(new float[] {2.94087f, -1.16670f}, within(1e-5f));
    }

    @Test
    void onlyTheFirstNeuronExceedsTheThreshold() {
        assertThat(run(0.32f, X)).containsExactly(new float[] {1.46212f, 0}, within(1e-5f));
    }

    @Test
    void aMagnitudeEqualToTheThresholdIsDropped() {
        float equal = (float) (0.5 / (1 + Math.exp(-0.5))); // the second and third neuron, 0.311230
        assertThat(run(equal, X)).containsExactly(run(0.32f, X));
        // just below, three neurons stay: (1.46212 + 2 * 0.31123 * 3, 0.31123 * 0.5 - 0.31123 * 3)
        assertThat(run(Math.nextDown(equal), X)).containsExactly(new float[] {3.32949f, -0.77807f}, within(2e-5f));
    }

    @Test
    void thresholdZeroIsDenseAndInfinityIsNothing() {
        assertThat(run(0, X)).containsExactly(run(network(false, false), X));
        assertThat(run(Float.POSITIVE_INFINITY, X)).containsExactly(0, 0);
    }

    @Test
    void nanReachesTheOutput() {
        assertThat(run(0.32f, Float.NaN, 0.5f)).containsExactly(Float.NaN, Float.NaN);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void theOrderInWhichAModelRecordsGateAndUpDoesNotMatter(int variant) {
        Graph graph = network((variant & 1) != 0, (variant & 2) != 0);
        Graph sparse = GatedNetworks.of(graph).withThresholds(site -> 0.32f);
        GraphCheck.check(sparse, "cats");
        assertThat(sparse.at(Role.UP)).hasSize(1).allMatch(node -> node.op().equals(new MaskedLinear(false)));
        assertThat(sparse.at(Role.DOWN).getFirst().op())
                .isEqualTo(new SparseLinear(new InputSelection.Threshold(0), false));
        assertThat(run(sparse, X)).containsExactly(new float[] {1.46212f, 0}, within(1e-5f));
    }

    @Test
    void aNetworkWithoutGateIsRefused() {
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        Value x = builder.input("x", TensorSpec.of(DType.F32, 1, 2));
        Value up = linear(builder, Role.UP, x, "up", 4, 2);
        Value active = builder.add(new Activation(Activation.Kind.GELU), Site.of(0, Role.ACTIVATION), up);
        Graph graph = builder.build(List.of(linear(builder, Role.DOWN, active, "down", 2, 4)));
        assertThatThrownBy(() -> GatedNetworks.of(graph))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining("no gated feed-forward network");
    }
}
