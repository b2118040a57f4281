package ai.winnow.djl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.engine.Engine;
import ai.djl.inference.Predictor;
import ai.djl.inference.streaming.IteratorBytesSupplier;
import ai.djl.inference.streaming.PublisherBytesSupplier;
import ai.djl.inference.streaming.StreamingTranslator.StreamOutput;
import ai.djl.ndarray.BytesSupplier;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.Shape;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.NoBatchifyTranslator;
import ai.djl.translate.TranslatorContext;
import ai.winnow.UnsupportedModelException;
import ai.winnow.decode.FinishReason;
import ai.winnow.decode.GenerationOptions;
import ai.winnow.decode.TextStream;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.tensor.DType;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The engine as a user of DJL meets it. */
class WinnowEngineTest {

    private static final String PROMPT = "Once upon a time";

    private static ZooModel<String, String> model;
    private static String expected;

    static <I, O> Criteria.Builder<I, O> small(Criteria.Builder<I, O> criteria) {
        return criteria.optOption("warmUp", "false")
                .optOption("contextLength", "160")
                .optOption("maxSequences", "3")
                .optOption("maxStepTokens", "32")
                .optOption("threads", "1")
                .optOption("maxNewTokens", "24");
    }

    @BeforeAll
    static void load() throws Exception {
        model = small(Winnow.criteria(BabyLlama.folder())).build().loadModel();
        try (Predictor<String, String> predictor = model.newPredictor()) {
            expected = predictor.predict(PROMPT);
        }
    }

    @AfterAll
    static void close() {
        model.close();
    }

    @Test
    void aPromptGivesItsContinuation() {
        assertThat(expected).startsWith(", there was").hasSize(24);
    }

    @Test
    void aBatchGivesWhatEachPromptGivesAlone() throws Exception {
        try (Predictor<String, String> predictor = model.newPredictor()) {
            List<String> prompts = List.of(PROMPT, "The dog", "Tom and Max went", "A", "One day");
            List<String> together = predictor.batchPredict(prompts);
            for (int i = 0; i < prompts.size(); i++) {
                assertThat(together.get(i)).isEqualTo(predictor.predict(prompts.get(i)));
            }
        }
    }

    @Test
    void aBatchMayBeLargerThanTheQueue() throws Exception {
        try (ZooModel<String, String> busy = small(Winnow.criteria(BabyLlama.folder()))
                        .optOption("queueCapacity", "1")
                        .build()
                        .loadModel();
                Predictor<String, String> predictor = busy.newPredictor()) {
            assertThat(predictor.batchPredict(Collections.nCopies(12, PROMPT))).containsOnly(expected);
        }
    }

    @Test
    void theEngineIsNeverTheDefaultBesideAnother() {
        assertThat(new WinnowEngineProvider().getEngineRank()).isGreaterThan(10);
        assertThat(Engine.getEngine("Winnow")).isInstanceOf(WinnowEngine.class);
    }

    @Test
    void criteriaInDjlsOwnWordsWork() throws Exception {
        Criteria<String, String> criteria = small(Criteria.builder()
                        .setTypes(String.class, String.class)
                        .optModelPath(BabyLlama.folder())
                        .optEngine("Winnow")
                        .optArgument("translatorFactory", GenerationTranslatorFactory.class.getName()))
                .optOption("policy", "dense")
                .optOption("stop", "[\"was\"]")
                .optOption("modelName", "djl's own option")
                .build();
        try (ZooModel<String, String> loaded = criteria.loadModel();
                Predictor<String, String> predictor = loaded.newPredictor()) {
            assertThat(predictor.predict(PROMPT)).isEqualTo(expected.substring(0, expected.indexOf("was")));
        }
    }

    @Test
    void anUnknownOptionIsNamed() {
        assertThatThrownBy(() -> Winnow.criteria(BabyLlama.folder())
                        .optOption("maxTokens", "5")
                        .build()
                        .loadModel())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("'maxTokens'")
                .hasMessageContaining("maxNewTokens");
        assertThatThrownBy(() -> Winnow.criteria(BabyLlama.folder())
                        .optOption("topK", "many")
                        .build()
                        .loadModel())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("'topK'")
                .hasMessageContaining("'many'");
        assertThatThrownBy(() -> Winnow.criteria(BabyLlama.folder())
                        .optOption("topP", "2")
                        .build()
                        .loadModel())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("topP must be in (0, 1]");
        assertThatThrownBy(() -> EngineOptions.parse(Map.of("weightType", "int7")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("option 'weightType'")
                .hasMessageContaining("int7");
        assertThat(EngineOptions.parse(Map.of("weightType", "int4", "weightGroup", 128))
                        .model())
                .isEqualTo(ModelOptions.defaults().withWeightType(DType.I4).withWeightGroup(128));
        assertThat(EngineOptions.parse(Map.of("kvType", "int8")).model())
                .isEqualTo(ModelOptions.defaults().withKvType(DType.I8));
        assertThatThrownBy(() -> EngineOptions.parse(Map.of("kvType", "int4")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("option 'kvType'")
                .hasMessageContaining("cached as F32, BF16 or I8, not I4");
        assertThatThrownBy(() -> EngineOptions.parse(Map.of("weightType", "int4", "weightGroup", "64")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("option 'weightGroup'")
                .hasMessageContaining("32 or 128 share a scale, not 64");
        assertThatThrownBy(() -> EngineOptions.parse(Map.of("stop", "[\"a\", null]")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("option 'stop'");
    }

    @Test
    void aStreamCutOffByClosingTheModelDoesNotLookLikeAWholeText() throws Exception {
        Criteria<String, BytesSupplier> criteria = small(
                        Winnow.criteria(BabyLlama.folder()).setTypes(String.class, BytesSupplier.class))
                .optOption("maxNewTokens", "150")
                .optOption("maxSequences", "1")
                .build();
        ZooModel<String, BytesSupplier> streaming = criteria.loadModel();
        Predictor<String, BytesSupplier> predictor = streaming.newPredictor();
        List<StreamOutput<BytesSupplier>> ahead = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            ahead.add(predictor.streamingPredict(PROMPT)); // one runs, the others wait for it
        }
        IteratorBytesSupplier pieces = (IteratorBytesSupplier) ahead.getLast().getIterativeOutput();
        StreamOutput<BytesSupplier> pushed = predictor.streamingPredict(PROMPT);
        PublisherBytesSupplier publisher = (PublisherBytesSupplier) pushed.getAsyncOutput();
        var ended = publisher.subscribe(chunk -> {});
        streaming.close();
        assertThatThrownBy(() -> pieces.getAsString()).isInstanceOf(CancellationException.class);
        assertThatThrownBy(pushed::computeAsyncOutput).isInstanceOf(CancellationException.class);
        ended.get(5, TimeUnit.SECONDS); // the subscriber does not wait for ever
    }

    @Test
    void predictGivesAStreamWhereThatIsTheType() throws Exception {
        Criteria<String, TextStream> criteria = small(
                        Winnow.criteria(BabyLlama.folder()).setTypes(String.class, TextStream.class))
                .optTranslatorFactory(new GenerationTranslatorFactory())
                .build();
        try (ZooModel<String, TextStream> streaming = criteria.loadModel();
                Predictor<String, TextStream> predictor = streaming.newPredictor();
                TextStream stream = predictor.predict(PROMPT)) {
            StringBuilder text = new StringBuilder();
            for (String piece : stream) {
                text.append(piece);
            }
            assertThat(text).hasToString(expected);
            assertThat(stream.finishReason()).contains(FinishReason.LENGTH);
        }
    }

    @Test
    void streamingPredictGivesDjlsStreams() throws Exception {
        Criteria<String, BytesSupplier> criteria = small(
                        Winnow.criteria(BabyLlama.folder()).setTypes(String.class, BytesSupplier.class))
                .build();
        try (ZooModel<String, BytesSupplier> streaming = criteria.loadModel();
                Predictor<String, BytesSupplier> predictor = streaming.newPredictor()) {
            assertThat(predictor.supportsStreaming()).isTrue();
            IteratorBytesSupplier pieces =
                    (IteratorBytesSupplier) predictor.streamingPredict(PROMPT).getIterativeOutput();
            assertThat(new String(pieces.next(), StandardCharsets.UTF_8)).isEqualTo(expected.substring(0, 1));
            assertThat(pieces.getAsString()).isEqualTo(expected.substring(1));

            StreamOutput<BytesSupplier> async = predictor.streamingPredict(PROMPT);
            PublisherBytesSupplier publisher = (PublisherBytesSupplier) async.getAsyncOutput();
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            var ended = publisher.subscribe(chunk -> {
                if (chunk != null) {
                    bytes.writeBytes(chunk);
                }
            });
            async.computeAsyncOutput();
            ended.join();
            assertThat(bytes.toString(StandardCharsets.UTF_8)).isEqualTo(expected);
            assertThat(predictor.predict(PROMPT).getAsString()).isEqualTo(expected);
        }
    }

    @Test
    void aWrappedModelKeepsTheTranslatorAndSharesTheWeights() throws Exception {
        try (ZooModel<String, String> wrapped = Winnow.wrap(model, SparsityPolicy.dense());
                Predictor<String, String> predictor = wrapped.newPredictor()) {
            assertThat(wrapped.getTranslator()).isSameAs(model.getTranslator());
            assertThat(Winnow.sparseModel(wrapped).weights())
                    .isSameAs(Winnow.sparseModel(model).weights());
            assertThat(predictor.predict(PROMPT)).isEqualTo(expected);
            assertThat(Winnow.explain(wrapped)).contains("policy     dense");
        }
    }

    @Test
    void aWrappedModelOutlivesTheDenseOne() throws Exception {
        ZooModel<String, String> dense =
                small(Winnow.criteria(BabyLlama.folder())).build().loadModel();
        try (ZooModel<String, String> wrapped = Winnow.wrap(dense, SparsityPolicy.dense())) {
            dense.close();
            try (Predictor<String, String> predictor = wrapped.newPredictor()) {
                assertThat(predictor.predict(PROMPT)).isEqualTo(expected);
            }
        }
    }

    @Test
    void aModelWithoutACheckpointIsRefusedWithTheFilesLookedFor(@TempDir Path folder) throws Exception {
        assertThatThrownBy(() -> Winnow.criteria(folder).build().loadModel())
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("config.json and model.safetensors or model.safetensors.index.json");
        Files.copy(BabyLlama.folder().resolve("config.json"), folder.resolve("config.json"));
        assertThatThrownBy(() -> Winnow.criteria(folder).build().loadModel())
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("has no model.safetensors or model.safetensors.index.json");
    }

    @Test
    void aMissingTokenizerIsNamedAtLoad(@TempDir Path folder) throws Exception {
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(BabyLlama.folder().resolve(file), folder.resolve(file));
        }
        assertThatThrownBy(() -> small(Winnow.criteria(folder)).build().loadModel())
                .hasMessageContaining("tokenizer.json");
    }

    @Test
    void aUsersTranslatorSeesTheNextTokensLogits() throws Exception {
        NoBatchifyTranslator<long[], Integer> own = new NoBatchifyTranslator<>() {
            @Override
            public NDList processInput(TranslatorContext ctx, long[] input) {
                return new NDList(ctx.getNDManager().create(input));
            }

            @Override
            public Integer processOutput(TranslatorContext ctx, NDList list) {
                assertThat(list.singletonOrThrow().getShape()).isEqualTo(new Shape(1, 1, 361));
                float[] logits = list.singletonOrThrow().toFloatArray();
                int best = 0;
                for (int i = 1; i < logits.length; i++) {
                    best = logits[i] > logits[best] ? i : best;
                }
                return best;
            }
        };
        int[] prompt = Winnow.decoder(model).codec().encode(PROMPT);
        long[] ids = java.util.Arrays.stream(prompt).asLongStream().toArray();
        try (Predictor<long[], Integer> predictor = model.newPredictor(own)) {
            int next = predictor.predict(ids);
            assertThat(Winnow.decoder(model).codec().decode(new int[] {next})).isEqualTo(expected.substring(0, 1));
        }
    }

    @Test
    void theDecoderTakesOptionsOfItsOwnForEachRequest() {
        String text = Winnow.decoder(model)
                .generate(PROMPT, GenerationOptions.defaults().withMaxNewTokens(5))
                .text();
        assertThat(text).isEqualTo(expected.substring(0, 5));
    }
}
