package ai.winnow.sparsity.activation.wina;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.contract.ArchitectureContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Role;
import ai.winnow.ir.Value;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.ReferenceProvider;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RotationTest {

    private static final CalibrationData DATA = CalibrationData.of(TinyModel.windows(1, 1, 4));
    private static final int[] PROMPT = TinyModel.windows(2, 1, 25).getFirst();

    /** The rotation alone, nothing skipped. */
    private record Rotated() implements SparsityMethod {
        @Override
        public MethodInfo info() {
            return new MethodInfo("rotated", "rotates", "nobody");
        }

        @Override
        public String spec() {
            return "rotated";
        }

        @Override
        public Optional<Calibrator> calibrator() {
            return Optional.of(Rotation::compute);
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return List.of(Wina.rotation());
        }
    }

    static Stream<TinyModel> models() {
        return Stream.of(TinyModel.llama(1), TinyModel.grouped(2), TinyModel.tied(3), TinyModel.biased(4));
    }

    private static Map<String, Artefact> rotate(SparseModel dense) {
        return CalibrationRun.calibrate(dense, SparsityPolicy.of(new Rotated()), DATA);
    }

    private static float[] logits(SparseModel model) {
        try (Session session = model.newSession()) {
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, PROMPT));
            session.run(Phase.DECODE, Batch.of(sequence, 7));
            return session.run(Phase.DECODE, Batch.of(sequence, 8)).copyOf(0);
        }
    }

    private static SparseModel load(TinyModel tiny, DType type) {
        return SparseModel.of(
                tiny.config(),
                tiny.source(),
                SparsityPolicy.dense(),
                TinyModel.options().withWeightType(type),
                Backends.of(List.of(new ReferenceProvider())));
    }

    @ParameterizedTest
    @MethodSource("models")
    void theRotationAloneChangesNothing(TinyModel tiny) {
        try (SparseModel dense = load(tiny, DType.F32);
                SparseModel rotated = dense.withPolicy(SparsityPolicy.of(new Rotated()), rotate(dense))) {
            ArchitectureContract.assertClose(logits(rotated), logits(dense), 1e-5f, "logits");
        }
    }

    @Test
    void narrowWeightsStayNarrow() {
        for (DType type : List.of(DType.BF16, DType.I8)) {
            try (SparseModel dense = load(TinyModel.llama(1), type)) {
                Map<String, Artefact> artefacts = rotate(dense);
                Tensor key = Objects.requireNonNull(artefacts.get("rotated")).tensor("wina/rotation/layer.1.key");
                assertThat(key.dtype()).isEqualTo(type == DType.I8 ? DType.F32 : type);
                try (SparseModel rotated = dense.withPolicy(SparsityPolicy.of(new Rotated()), artefacts)) {
                    float[] found = logits(rotated);
                    float[] expected = logits(dense);
                    double worst = 0;
                    for (int i = 0; i < found.length; i++) {
                        worst = Math.max(worst, Math.abs(found[i] - expected[i]));
                    }
                    assertThat(worst).as("%s", type).isBetween(1e-6, 0.3);
                }
            }
        }
    }

    /** The columns of key and gate become orthogonal, and what key maps to zero scores exactly nothing. */
    @Test
    void keyAndGateBecomeOrthogonal() {
        try (SparseModel dense = load(TinyModel.grouped(2), DType.F32)) {
            Artefact artefact = Objects.requireNonNull(rotate(dense).get("rotated"));
            for (String name : List.of("layer.0.key", "layer.1.key", "layer.0.gate", "layer.1.gate")) {
                Tensor matrix = artefact.tensor("wina/rotation/" + name);
                for (int a = 0; a < 32; a++) {
                    for (int b = 0; b <= a; b++) {
                        double dot = dot(matrix, a, b);
                        if (a != b) {
                            assertThat(dot).as(name).isBetween(-1e-5, 1e-5);
                        } else if (name.endsWith("key") && a >= 16) {
                            assertThat(dot).as(name).isZero();
                        } else {
                            assertThat(dot).as(name).isGreaterThan(1e-4);
                        }
                    }
                }
            }
        }
    }

    private static double dot(Tensor matrix, int a, int b) {
        double sum = 0;
        long rows = matrix.shape().max(0);
        for (long row = 0; row < rows; row++) {
            sum += (double) matrix.getFloat(row * 32 + a) * matrix.getFloat(row * 32 + b);
        }
        return sum;
    }

    @Test
    void theSameWeightsGiveTheSameArtefact() {
        try (SparseModel dense = load(TinyModel.grouped(2), DType.F32)) {
            Artefact first = Objects.requireNonNull(rotate(dense).get("rotated"));
            Artefact second = Objects.requireNonNull(rotate(dense).get("rotated"));
            assertThat(first.tensors().keySet()).isEqualTo(second.tensors().keySet());
            first.tensors()
                    .forEach((name, tensor) ->
                            assertThat(second.tensor(name).toFloats()).containsExactly(tensor.toFloats()));
        }
    }

    @Test
    void aTiedHeadIsUntiedAndTheShortcutsAreSeen() {
        try (SparseModel dense = load(TinyModel.tied(3), DType.F32)) {
            Graph graph = Rotation.rewrite(dense.denseGraph(Phase.DECODE));
            Set<Value> tables = new HashSet<>();
            tables.add(graph.at(Role.TOKEN_EMBED).getFirst().input(1));
            tables.add(graph.at(Role.HEAD).getFirst().input(1));
            assertThat(tables).hasSize(2);
            long shortcuts = Stream.of(Role.ATTENTION_RESIDUAL, Role.MLP_RESIDUAL)
                    .flatMap(role -> graph.at(role).stream())
                    .filter(node -> node.op() instanceof Linear)
                    .count();
            assertThat(shortcuts).isEqualTo(3); // two a layer, but none after the last
            assertThat(Wina.of(0.5f).info().title()).contains("not tied");
            assertThat(Wina.of(0.5f).unrotated().info().title()).doesNotContain("not tied");
        }
    }

    @Test
    void aStreamThatIsReadInUnknownWaysIsRefused() {
        try (SparseModel dense = load(TinyModel.llama(1), DType.F32)) {
            Graph odd = dense.denseGraph(Phase.DECODE)
                    .mapOps(node ->
                            node.site().role() == Role.MLP_RESIDUAL ? new Binary(Binary.Operator.MAX) : node.op());
            assertThatThrownBy(() -> Rotation.rewrite(odd))
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining("MLP_RESIDUAL of layer 0")
                    .hasMessageContaining("rotate=false");
        }
    }

    @Test
    void anArtefactWithoutRotationIsRefused() {
        try (SparseModel dense = load(TinyModel.llama(1), DType.F32)) {
            Map<String, Artefact> plain = CalibrationRun.calibrate(
                    dense, SparsityPolicy.of(Wina.threshold(0.5f).unrotated()), DATA);
            assertThatThrownBy(() -> dense.withPolicy(SparsityPolicy.of(Wina.threshold(0.5f)), plain))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("rotated weights")
                    .hasMessageContaining("rotate=false");
        }
    }
}
