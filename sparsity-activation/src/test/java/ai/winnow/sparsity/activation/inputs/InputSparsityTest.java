package ai.winnow.sparsity.activation.inputs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ArtefactException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseLinear;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

class InputSparsityTest {

    private static final GreedySearch COARSE = new GreedySearch(0.25, 0.8, 0.25);
    private static final List<int[]> WINDOWS = TinyModel.windows(21, 3, 30);
    private static final SparseModel DENSE = TinyModel.grouped(6).load(SparsityPolicy.dense(), Map.of());

    @AfterAll
    static void close() {
        DENSE.close();
    }

    private record Skipping(InputSparsity inputs) implements SparsityMethod {
        @Override
        public MethodInfo info() {
            return new MethodInfo("skipping", "skips", "nobody");
        }

        @Override
        public String spec() {
            return "skipping";
        }

        @Override
        public Optional<Calibrator> calibrator() {
            return inputs.needsCalibration() ? Optional.of(inputs::calibrate) : Optional.empty();
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return List.of(new Rewrite(
                    Rewrite.Stage.ACTIVATION, Set.of(Phase.DECODE), Set.of(), graph -> inputs.apply(graph, artefact)));
        }

        Artefact calibrate() {
            return CalibrationRun.calibrate(DENSE, this, CalibrationData.of(WINDOWS));
        }
    }

    private static Skipping skipping(float sparsity, Mode mode, Allocation allocation, Role... weighted) {
        return new Skipping(
                new InputSparsity("skipping/", "skipping", sparsity, mode, allocation, Set.of(weighted), COARSE));
    }

    /** The share of the layers' weights whose inputs are zero when the calibration data are decoded token by token. */
    private static double reached(Skipping method, Artefact artefact) {
        double[] weights = new double[2]; // skipped, all
        try (SparseModel model = DENSE.withPolicy(SparsityPolicy.of(method), Map.of("skipping", artefact));
                Session session = model.newSession()) {
            session.observe((node, operands) -> {
                if (node.op() instanceof Primitive.MatMul
                        && Projection.ROLES.contains(node.site().role())) {
                    Tensor x = operands.input(0);
                    long out = operands.input(1).shape().max(0);
                    for (long i = 0; i < x.shape().max(1); i++) {
                        weights[0] += x.getFloat(i) == 0 ? out : 0;
                        weights[1] += out;
                    }
                }
            });
            for (int[] window : WINDOWS) {
                SequenceId sequence = session.open();
                for (int token : window) {
                    session.run(Phase.DECODE, Batch.of(sequence, token));
                }
                session.close(sequence);
            }
        }
        return weights[0] / weights[1];
    }

    @Test
    void thresholdsReachTheirSparsityOnTheDataTheyComeFrom() {
        for (float sparsity : new float[] {0.25f, 0.5f, 0.65f}) {
            Skipping plain = skipping(sparsity, Mode.THRESHOLD, Allocation.UNIFORM);
            assertThat(reached(plain, plain.calibrate())).isCloseTo(sparsity, within(0.03));
            Skipping weighted = skipping(sparsity, Mode.THRESHOLD, Allocation.UNIFORM, Role.KEY, Role.GATE);
            assertThat(reached(weighted, weighted.calibrate())).isCloseTo(sparsity, within(0.03));
        }
    }

    @Test
    void oneCalibrationServesEverySparsity() {
        Artefact made = skipping(0.5f, Mode.THRESHOLD, Allocation.UNIFORM).calibrate();
        for (float sparsity : new float[] {0.1f, 0.4f, 0.8f}) {
            Skipping other = skipping(sparsity, Mode.THRESHOLD, Allocation.UNIFORM);
            assertThat(reached(other, made)).isCloseTo(sparsity, within(0.04));
        }
    }

    @Test
    void theGreedyAllocationDividesTheSameSparsityUnevenly() {
        for (Mode mode : Mode.values()) {
            Skipping greedy = skipping(0.5f, mode, Allocation.GREEDY, Role.KEY, Role.GATE);
            Artefact artefact = greedy.calibrate();
            // A coarse step of this model is a thirtieth of a layer, and top-k rounds down.
            assertThat(reached(greedy, artefact)).isCloseTo(0.5, within(0.06));
            Tensor found = artefact.tensor("skipping/layer.1.greedy");
            assertThat(found.shape().max(1)).isEqualTo(8);
            double[] shares = GreedySearch.nearest(found, 0.5, "skipping");
            assertThat(java.util.Arrays.stream(shares).distinct().count()).isGreaterThan(1);
        }
    }

    @Test
    void projectionsOfTheSameInputShareTheirHistogram() {
        Artefact plain = skipping(0.5f, Mode.THRESHOLD, Allocation.UNIFORM).calibrate();
        assertThat(plain.tensors().keySet())
                .containsExactly(
                        "skipping/layer.0.query",
                        "skipping/layer.0.output",
                        "skipping/layer.0.gate",
                        "skipping/layer.0.down",
                        "skipping/layer.1.query",
                        "skipping/layer.1.output",
                        "skipping/layer.1.gate",
                        "skipping/layer.1.down");
        Artefact weighted = skipping(0.5f, Mode.THRESHOLD, Allocation.UNIFORM, Role.KEY, Role.GATE)
                .calibrate();
        assertThat(weighted.tensors().keySet())
                .startsWith(
                        "skipping/layer.0.query",
                        "skipping/layer.0.key",
                        "skipping/layer.0.output",
                        "skipping/layer.0.gate",
                        "skipping/layer.0.up",
                        "skipping/layer.0.down");
    }

    @Test
    void topKKeepsTheFloor() {
        assertThat(InputSparsity.keep(10, 0.3)).isEqualTo(7);
        assertThat(InputSparsity.keep(10, 0.55)).isEqualTo(4);
        assertThat(InputSparsity.keep(4096, 0.65)).isEqualTo(1433);
        assertThat(InputSparsity.keep(3, 0.7)).isZero();
        Graph graph = DENSE.denseGraph(Phase.DECODE);
        Graph sparse = skipping(0.3f, Mode.TOPK, Allocation.UNIFORM, Role.GATE)
                .inputs()
                .apply(graph, Artefact.EMPTY);
        assertThat(op(sparse, Role.QUERY)).isEqualTo(new SparseLinear(new InputSelection.TopK(22), false));
        assertThat(op(sparse, Role.DOWN)).isEqualTo(new SparseLinear(new InputSelection.TopK(33), false));
        assertThat(op(sparse, Role.GATE)).isEqualTo(new SparseLinear(new InputSelection.WeightedTopK(22), false));
        assertThat(op(sparse, Role.HEAD)).isEqualTo(op(graph, Role.HEAD));
    }

    private static Object op(Graph graph, Role role) {
        return graph.at(role).getFirst().op();
    }

    @Test
    void thresholdsOfChannelsStandForThresholdsOfScores() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor norms = Tensor.copyOf(arena, new float[] {2, 0, 1e-30f, 0.5f}, 4);
            Tensor thresholds = Tensor.copyOf(arena, new float[4], 4);
            ai.winnow.ir.WeightRef ref = ai.winnow.ir.WeightRef.model("norms", norms.spec());
            new ChannelThresholds(ref, 1e10f).compute(List.of(norms), thresholds);
            assertThat(thresholds.toFloats()).containsExactly(5e9f, Float.MAX_VALUE, Float.MAX_VALUE, 2e10f);
        }
    }

    @Test
    void whatWasNotMeasuredIsNamed() {
        Skipping greedy = skipping(0.5f, Mode.TOPK, Allocation.GREEDY);
        Artefact other = skipping(0.5f, Mode.THRESHOLD, Allocation.UNIFORM).calibrate();
        assertThatThrownBy(() -> greedy.inputs().apply(DENSE.denseGraph(Phase.DECODE), other))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("skipping/layer.0.greedy")
                .hasMessageContaining("calibrate again");
        assertThatThrownBy(() -> greedy.inputs().apply(DENSE.denseGraph(Phase.DECODE), Artefact.EMPTY))
                .isInstanceOf(ArtefactException.class);
    }

    @Test
    void nodesOutsideTheLayersStayAsTheyAre() {
        for (Node node : DENSE.denseGraph(Phase.DECODE).nodes()) {
            assertThat(Projection.of(DENSE.denseGraph(Phase.DECODE), Set.of()).containsKey(node.site()))
                    .isEqualTo(node.site().layer() != Site.GLOBAL
                            && Projection.ROLES.contains(
                                    Objects.requireNonNull(node.site().role())));
        }
    }
}
