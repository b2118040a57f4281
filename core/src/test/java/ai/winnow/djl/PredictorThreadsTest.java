package ai.winnow.djl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.inference.Predictor;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.TranslateException;
import ai.winnow.decode.FinishReason;
import ai.winnow.decode.GenerationOptions;
import ai.winnow.decode.TextStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** One model, many threads, for a long time. */
class PredictorThreadsTest {

    private static final List<String> PROMPTS =
            List.of("Once upon a time", "Tom", "The dog was", "Lily said: \"", "One day", "é中😀", "Max", "A big tree");

    private static final int MIBI = 1 << 20;

    @Test
    void eightThreadsGetWhatOneThreadGets() throws Exception {
        for (String seed : List.of("", "17")) {
            var criteria = WinnowEngineTest.small(Winnow.criteria(BabyLlama.folder()));
            if (!seed.isEmpty()) {
                criteria.optOption("temperature", "0.9").optOption("seed", seed);
            }
            try (ZooModel<String, String> model = criteria.build().loadModel()) {
                List<String> expected = predictAll(model);
                List<Callable<List<String>>> tasks = new ArrayList<>();
                for (int i = 0; i < 8; i++) {
                    tasks.add(() -> predictAll(model));
                }
                try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
                    for (Future<List<String>> result : threads.invokeAll(tasks)) {
                        assertThat(result.get()).isEqualTo(expected);
                    }
                }
            }
        }
    }

    private static List<String> predictAll(ZooModel<String, String> model) throws TranslateException {
        List<String> texts = new ArrayList<>();
        try (Predictor<String, String> predictor = model.newPredictor()) {
            for (String prompt : PROMPTS) {
                texts.add(predictor.predict(prompt));
            }
        }
        return texts;
    }

    @Test
    @EnabledOnOs(OS.LINUX) // where the kernel says what is resident
    void aThousandPredictionsDoNotGrowNativeMemory(@TempDir Path folder) throws Exception {
        Path tiny = TinyLlama.write(folder, 1);
        try (ZooModel<String, String> model = Winnow.criteria(tiny)
                .optOption("warmUp", "false")
                .optOption("maxNewTokens", "8")
                .optOption("threads", "1")
                .build()
                .loadModel()) {
            predict(model, 500);
            long before = nativeBytes();
            predict(model, 1_000);
            assertThat(nativeBytes() - before).as("bytes").isLessThan(16L * MIBI);
        }
    }

    private static void predict(ZooModel<String, String> model, int times) throws TranslateException {
        for (int i = 0; i < times; i++) {
            try (Predictor<String, String> predictor = model.newPredictor()) {
                predictor.predict(PROMPTS.get(i % PROMPTS.size()));
            }
        }
    }

    /** Resident memory beside the heap. */
    private static long nativeBytes() throws Exception {
        System.gc();
        long resident = 4096
                * Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]);
        return resident
                - ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getCommitted();
    }

    @Test
    void closingInTheMiddleOfPredictionsIsClean() throws Exception {
        ZooModel<String, String> model = WinnowEngineTest.small(Winnow.criteria(BabyLlama.folder()))
                .optOption("maxNewTokens", "140")
                .build()
                .loadModel();
        GenerationOptions longer = GenerationOptions.defaults().withMaxNewTokens(140);
        try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
            List<Future<String>> predictions = new ArrayList<>();
            TextStream stream = Winnow.decoder(model).submit(PROMPTS.getFirst(), longer);
            for (int i = 0; i < 4; i++) {
                predictions.add(threads.submit(() -> {
                    try (Predictor<String, String> predictor = model.newPredictor()) {
                        return predictor.predict("Tom");
                    }
                }));
            }
            assertThat(stream.iterator().next()).isNotEmpty();
            model.close();
            assertThat(stream.join().reason()).isEqualTo(FinishReason.CANCELLED);
            for (Future<String> prediction : predictions) {
                assertThatThrownBy(prediction::get)
                        .cause()
                        .isInstanceOf(TranslateException.class)
                        .cause()
                        .isInstanceOfAny(CancellationException.class, IllegalStateException.class);
            }
        }
        assertThatThrownBy(() -> Winnow.explain(model))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        model.close();
    }

    @Test
    void anInterruptedPredictionGivesItsSequenceBack() throws Exception {
        try (ZooModel<String, String> model = WinnowEngineTest.small(Winnow.criteria(BabyLlama.folder()))
                .build()
                .loadModel()) {
            Thread.currentThread().interrupt();
            try (Predictor<String, String> predictor = model.newPredictor()) {
                assertThatThrownBy(() -> predictor.predict("Tom"))
                        .isInstanceOf(TranslateException.class)
                        .hasCauseInstanceOf(CancellationException.class);
                assertThat(Thread.interrupted()).isTrue();
                assertThat(predictor.batchPredict(List.of("Tom", "Max", "A", "B")))
                        .hasSize(4);
            }
        }
    }
}
