package ai.winnow.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.ShapeException;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseLinear;
import ai.winnow.method.Calibration;
import ai.winnow.method.Calibration.Observer;
import ai.winnow.method.Calibration.Probe;
import ai.winnow.method.Calibration.Tap;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

class CalibrationRunTest {

    private static final TinyModel TINY = TinyModel.biased(5);
    private static final SparseModel DENSE = TINY.load(SparsityPolicy.dense(), Map.of());

    /** Lengths that are one step, several steps, one token. */
    private static final List<int[]> WINDOWS = List.of(
            TinyModel.windows(1, 1, 19).getFirst(),
            TinyModel.windows(2, 1, 53).getFirst(),
            TinyModel.windows(3, 1, 1).getFirst());

    private static final CalibrationData DATA = CalibrationData.of(WINDOWS);

    @AfterAll
    static void close() {
        DENSE.close();
    }

    private record Measuring(Optional<Calibrator> calibrator) implements SparsityMethod {
        @Override
        public MethodInfo info() {
            return new MethodInfo("measuring", "measures", "nobody");
        }

        @Override
        public String spec() {
            return "measuring:much";
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return List.of();
        }
    }

    private static Artefact calibrate(CalibrationData data, Consumer<Calibration> look) {
        return CalibrationRun.calibrate(
                DENSE,
                new Measuring(Optional.of(calibration -> {
                    look.accept(calibration);
                    return Map.of();
                })),
                data);
    }

    /** All rows of some values, {@code [tokens][width]}. */
    private static Map<Probe, List<float[]>> observe(Calibration calibration, Probe... probes) {
        Map<Probe, List<float[]>> seen = new HashMap<>();
        Map<Probe, Observer> observers = new HashMap<>();
        for (Probe probe : probes) {
            List<float[]> rows = new ArrayList<>();
            seen.put(probe, rows);
            observers.put(probe, (values, count) -> {
                int width = Math.toIntExact(values.shape().max(1));
                for (int row = 0; row < count; row++) {
                    float[] copy = new float[width];
                    for (int i = 0; i < width; i++) {
                        copy[i] = values.getFloat((long) row * width + i);
                    }
                    rows.add(copy);
                }
            });
        }
        calibration.observe(observers);
        return seen;
    }

    private static Probe input(int layer, Role role) {
        return new Probe(Site.of(layer, role), Tap.INPUT);
    }

    private static Probe output(int layer, Role role) {
        return new Probe(Site.of(layer, role), Tap.OUTPUT);
    }

    private static List<float[]> rows(Map<Probe, List<float[]>> seen, Probe probe) {
        return Objects.requireNonNull(seen.get(probe));
    }

    /** The layer without its feed-forward output (but for the bias). */
    private static Graph withoutDown(Graph graph) {
        return graph.mapOps(node -> node.site().role() == Role.DOWN && node.op() instanceof Linear linear
                ? new SparseLinear(new InputSelection.TopK(0), linear.bias())
                : node.op());
    }

    @Test
    void everyRowOfTheDataIsObservedWhatLeavesOneNodeEntersTheNext() {
        calibrate(DATA, calibration -> {
            Map<Probe, List<float[]>> seen = observe(
                    calibration,
                    output(1, Role.ATTENTION_NORM),
                    input(1, Role.QUERY),
                    input(1, Role.VALUE),
                    output(1, Role.GATE),
                    output(1, Role.ACTIVATION));
            assertThat(rows(seen, input(1, Role.QUERY))).hasSize(19 + 53 + 1);
            float[][] query = rows(seen, input(1, Role.QUERY)).toArray(float[][]::new);
            assertThat(rows(seen, output(1, Role.ATTENTION_NORM)).toArray(float[][]::new))
                    .isDeepEqualTo(query);
            assertThat(rows(seen, input(1, Role.VALUE)).toArray(float[][]::new)).isDeepEqualTo(query);
            for (int row = 0; row < 73; row++) {
                float[] gate = rows(seen, output(1, Role.GATE)).get(row);
                float[] active = rows(seen, output(1, Role.ACTIVATION)).get(row);
                for (int i = 0; i < gate.length; i++) {
                    assertThat((double) active[i]).isCloseTo(gate[i] / (1 + Math.exp(-gate[i])), within(1e-6));
                }
            }
        });
    }

    @Test
    void aSiteThatIsNotThereIsNamed() {
        calibrate(DATA, calibration -> {
            assertThatThrownBy(() -> observe(calibration, input(2, Role.DOWN)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("DOWN of layer 2");
            assertThatThrownBy(() -> observe(calibration, output(0, Role.KV_APPEND)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("KV_APPEND of layer 0");
            assertThatThrownBy(() -> calibration.layerError(2, UnaryOperator.identity(), 0.25))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("no layer 2");
        });
    }

    @Test
    void aLayerThatIsNotChangedHasNoError() {
        calibrate(DATA, calibration -> {
            for (int layer : new int[] {0, 1, 0}) {
                assertThat(calibration.layerError(layer, UnaryOperator.identity(), 0.25))
                        .isZero();
            }
        });
    }

    /** Without DOWN the output lacks just what DOWN gave: the error is known from observing it. */
    @Test
    void theErrorIsTheNormOverTheLastPositionsAveragedOverWindowsAndChannels() {
        calibrate(DATA, calibration -> {
            for (int layer : new int[] {1, 0, 1}) { // the order changes how the layer gets its inputs
                List<float[]> down = rows(observe(calibration, output(layer, Role.DOWN)), output(layer, Role.DOWN));
                Tensor bias =
                        Objects.requireNonNull(TINY.tensors().get("model.layers." + layer + ".mlp.down_proj.bias"));
                for (double fraction : new double[] {0.25, 1}) {
                    double expected = 0;
                    int end = 0;
                    for (int[] window : WINDOWS) {
                        end += window.length;
                        int count = Math.max(1, (int) (window.length * fraction));
                        for (int channel = 0; channel < 32; channel++) {
                            double squares = 0;
                            for (float[] row : down.subList(end - count, end)) {
                                double lost = row[channel] - bias.getFloat(channel);
                                squares += lost * lost;
                            }
                            expected += Math.sqrt(squares) / (32 * WINDOWS.size());
                        }
                    }
                    assertThat(calibration.layerError(layer, CalibrationRunTest::withoutDown, fraction))
                            .as("layer %d, last %s", layer, fraction)
                            .isCloseTo(expected, within(expected * 1e-5));
                }
            }
        });
    }

    @Test
    void underRewritesTheChangedModelIsMeasured() {
        Rewrite rewrite = new Rewrite(
                Rewrite.Stage.WEIGHT, Set.of(Phase.PREFILL, Phase.DECODE), Set.of(), CalibrationRunTest::withoutDown);
        calibrate(DATA, dense -> {
            Calibration changed = dense.under(List.of(rewrite), Map.of());
            assertThat(changed.graph(Phase.PREFILL)).isNotEqualTo(dense.graph(Phase.PREFILL));
            List<float[]> down = rows(observe(changed, output(1, Role.DOWN)), output(1, Role.DOWN));
            assertThat(down.getFirst()).containsExactly(down.getLast()); // the bias alone
            assertThat(changed.layerError(1, CalibrationRunTest::withoutDown, 1))
                    .isZero();
            assertThat(dense.layerError(1, CalibrationRunTest::withoutDown, 1)).isPositive();
        });
    }

    @Test
    void anArtefactSaysWhereItComesFrom() {
        Artefact artefact = calibrate(DATA, calibration -> {});
        assertThat(artefact.method()).isEqualTo("measuring");
        assertThat(artefact.parameters())
                .containsEntry("spec", "measuring:much")
                .containsEntry("windows", "3")
                .containsEntry("tokens", "73");
        assertThat(artefact.modelFingerprint()).isEqualTo(TINY.source().fingerprint());
        assertThat(artefact.dataFingerprint()).isEqualTo(DATA.fingerprint());
        assertThat(CalibrationRun.calibrate(DENSE, new Measuring(Optional.empty()), DATA))
                .isSameAs(Artefact.EMPTY);
    }

    @Test
    void dataThatDoNotFitAreRefused() {
        assertThatThrownBy(() -> CalibrationData.of(List.of())).isInstanceOf(ShapeException.class);
        assertThatThrownBy(() -> CalibrationData.of(List.of(new int[0]))).isInstanceOf(ShapeException.class);
        for (int token : new int[] {-1, TinyModel.VOCABULARY}) {
            assertThatThrownBy(() -> calibrate(CalibrationData.of(List.of(new int[] {1, token})), c -> {}))
                    .isInstanceOf(ShapeException.class)
                    .hasMessageContaining("token " + token);
        }
        assertThatThrownBy(() -> calibrate(CalibrationData.of(TinyModel.windows(1, 1, 97)), c -> {}))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("97 tokens")
                .hasMessageContaining("context of 96");
    }

    @Test
    void otherDataHaveAnotherFingerprint() {
        assertThat(CalibrationData.of(List.of(new int[] {1, 2}, new int[] {3})).fingerprint())
                .isNotEqualTo(CalibrationData.of(List.of(new int[] {1}, new int[] {2, 3}))
                        .fingerprint());
    }

    @Test
    void onlyDenseModelsAreCalibrated() {
        SparsityMethod none = new Measuring(Optional.empty());
        try (SparseModel sparse = DENSE.withPolicy(SparsityPolicy.of(none), Map.of())) {
            assertThatThrownBy(() -> CalibrationRun.calibrate(sparse, none, DATA))
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining("measuring");
        }
    }
}
