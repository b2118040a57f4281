package ai.winnow.djl;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.inference.Predictor;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.NoBatchifyTranslator;
import ai.djl.translate.Translator;
import ai.djl.translate.TranslatorContext;
import ai.winnow.UnsupportedModelException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.method.Calibration;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.Session;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Models that another engine loaded, translators of a user, and calibration. */
class WrapTest {

    /** Token ids in, the logits of the next token out: a user's translator. */
    private static final Translator<int[], float[]> IDS = new NoBatchifyTranslator<>() {
        @Override
        public NDList processInput(TranslatorContext ctx, int[] input) {
            return new NDList(ctx.getNDManager().create(input));
        }

        @Override
        public float[] processOutput(TranslatorContext ctx, NDList list) {
            assertThat(list.singletonOrThrow().getShape()).isEqualTo(new Shape(1, 1, 361));
            return list.singletonOrThrow().toFloatArray();
        }
    };

    /** What another engine's model tells of itself. */
    private static ZooModel<int[], float[]> foreign(Path folder) {
        NDManager manager = Engine.getEngine("Winnow").newBaseManager(Device.cpu());
        Model model = (Model) Proxy.newProxyInstance(
                Model.class.getClassLoader(),
                new Class<?>[] {Model.class},
                (proxy, method, arguments) -> switch (method.getName()) {
                    case "getModelPath" -> folder;
                    case "getName" -> "foreign";
                    case "getNDManager" -> manager;
                    default -> throw new UnsupportedOperationException(method.getName());
                });
        return new ZooModel<>(model, IDS);
    }

    @Test
    void aModelOfAnotherEngineIsReadFromItsFolderAndKeepsItsTranslator() throws Exception {
        int[] prompt = {1, 259, 300, 301};
        try (ZooModel<int[], float[]> wrapped =
                        Winnow.wrap(foreign(BabyLlama.folder()), SparsityPolicy.dense(), BabyLlama.options());
                Predictor<int[], float[]> predictor = wrapped.newPredictor();
                Session session = Winnow.sparseModel(wrapped).newSession()) {
            assertThat(wrapped.getTranslator()).isSameAs(IDS);
            assertThat(wrapped.getName()).isEqualTo("foreign");
            float[] expected =
                    session.run(Phase.PREFILL, Batch.of(session.open(), prompt)).copyOf(0);
            assertThat(predictor.predict(prompt)).containsExactly(expected);
            assertThat(predictor.batchPredict(List.of(prompt, prompt)).getLast())
                    .containsExactly(expected);
        }
    }

    @Test
    void aFolderWithoutACheckpointIsRefused(@TempDir Path folder) {
        assertThatThrownBy(() -> Winnow.wrap(foreign(folder), SparsityPolicy.dense()))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("model foreign")
                .hasMessageContaining("config.json and model.safetensors");
    }

    @Test
    void whatIsNotOursIsNotExplained() {
        assertThatThrownBy(() -> Winnow.explain(foreign(BabyLlama.folder())))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Winnow.wrap");
    }

    /** Counts the rows that the gates of the first layer see. */
    private record Counting() implements SparsityMethod {

        @Override
        public MethodInfo info() {
            return new MethodInfo("counting", "counts rows", "no publication");
        }

        @Override
        public String spec() {
            return "counting";
        }

        @Override
        public Optional<Calibrator> calibrator() {
            return Optional.of(calibration -> {
                Tensor total = Tensor.allocate(calibration.arena(), DType.F32, 1);
                calibration.observe(Map.of(
                        new Calibration.Probe(Site.of(0, Role.GATE), Calibration.Tap.INPUT),
                        (values, rows) ->
                                DType.F32.setFloat(total.segment(), 0, DType.F32.getFloat(total.segment(), 0) + rows)));
                return Map.of("counting/rows", total);
            });
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return List.of();
        }
    }

    @Test
    void calibrationRunsAllTokensOfTheTextsAndFeedsWrap() throws Exception {
        SparsityPolicy policy = SparsityPolicy.of(new Counting());
        try (ZooModel<String, String> dense = WinnowEngineTest.small(Winnow.criteria(BabyLlama.folder()))
                .build()
                .loadModel()) {
            Map<String, Artefact> artefacts = Winnow.calibrate(dense, policy, List.of(BabyLlama.STORY, "Tom"));
            Tensor rows = requireNonNull(
                    requireNonNull(artefacts.get("counting")).tensors().get("counting/rows"));
            assertThat(rows.getFloat(0)).isEqualTo(BabyLlama.STORY.length() + 2 + 5);
            try (ZooModel<String, String> wrapped = Winnow.wrap(dense, policy, artefacts);
                    Predictor<String, String> predictor = wrapped.newPredictor();
                    Predictor<String, String> plain = dense.newPredictor()) {
                assertThat(predictor.predict("Tom")).isEqualTo(plain.predict("Tom"));
                assertThat(Winnow.explain(wrapped)).contains("counting");
                assertThat(Winnow.calibrate(wrapped, policy, List.of("Tom"))).containsKey("counting");
            }
        }
    }
}
