package ai.winnow.examples;

import ai.djl.ModelException;
import ai.djl.inference.Predictor;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.TranslateException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.decode.Generation;
import ai.winnow.decode.TextCodec;
import ai.winnow.decode.TextStream;
import ai.winnow.djl.GenerationTranslatorFactory;
import ai.winnow.djl.HuggingFaceCodec;
import ai.winnow.djl.Winnow;
import ai.winnow.io.Artefact;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.activation.cats.Cats;
import ai.winnow.sparsity.activation.teal.Teal;
import ai.winnow.sparsity.activation.wina.Wina;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** A real model under several policies: a story, and what each policy costs on text that it was not calibrated on. */
final class QualityDemo {

    private static final String PROMPT = "Once upon a time, there was a little";

    /** Windows scored side by side; the more, the smaller the error of the figures and the longer the wait. */
    private static final int SCORED_WINDOWS = 32;

    private static final int CALIBRATION_WINDOWS = 32;
    private static final int WINDOW = 256;
    private static final int PREFIX = 16;

    /** A policy of one method, and how much it was told to remove. */
    private record Row(SparsityMethod method, float sparsity) {}

    private static final List<Row> ROWS = List.of(
            new Row(Teal.uniform(0.25f), 0.25f),
            new Row(Teal.uniform(0.40f), 0.40f),
            new Row(Teal.uniform(0.50f), 0.50f),
            new Row(Cats.of(0.50f), 0.50f),
            new Row(Wina.of(0.50f), 0.50f),
            new Row(Wina.of(0.50f).unrotated(), 0.50f));

    private final ZooModel<String, TextStream> dense;
    private final Progress progress;
    private final CalibrationData calibration;
    private final List<int[]> scored;

    /** By method: what was measured holds for every level of sparsity. */
    private final Map<String, Artefact> artefacts = new HashMap<>();

    /** Loads the dense model as a service does that uses DJL. */
    static ZooModel<String, TextStream> load(Path folder, int threads) throws ModelException, IOException {
        return Criteria.builder()
                .setTypes(String.class, TextStream.class)
                .optModelPath(folder)
                .optEngine("Winnow")
                .optTranslatorFactory(new GenerationTranslatorFactory())
                .optOption("threads", String.valueOf(threads))
                .optOption("maxSequences", String.valueOf(SCORED_WINDOWS))
                .optOption("maxStepTokens", String.valueOf(SCORED_WINDOWS * PREFIX))
                .optOption("maxNewTokens", "220")
                .optOption("temperature", "0.5")
                .optOption("seed", "11")
                // The scoring is its own warm-up.
                .optOption("warmUp", "false")
                .build()
                .loadModel();
    }

    QualityDemo(ZooModel<String, TextStream> dense, Path folder, Progress progress) {
        this.dense = dense;
        this.progress = progress;
        Stories stories = Stories.load();
        SparseModel model = Winnow.sparseModel(dense);
        int window = Math.min(WINDOW, model.limits().contextLength());
        int begin = model.definition().beginToken().orElse(0);
        try (HuggingFaceCodec codec = HuggingFaceCodec.open(folder)) {
            this.calibration = CalibrationData.of(Stories.spread(
                    Stories.windows(stories.calibration(), begin, window, text -> encode(codec, text)),
                    CALIBRATION_WINDOWS));
            this.scored = Stories.spread(
                    Stories.windows(stories.scored(), begin, window, text -> encode(codec, text)), SCORED_WINDOWS);
        }
    }

    /** The tokens of a text alone; windows begin with their own token. */
    private static int[] encode(TextCodec codec, String text) {
        return Arrays.stream(codec.encode(text))
                .filter(token -> !codec.isSpecial(token))
                .toArray();
    }

    private ZooModel<String, TextStream> wrap(SparsityMethod method) {
        SparsityPolicy policy = SparsityPolicy.of(method);
        if (method.calibrator().isPresent()
                && !artefacts.containsKey(method.info().name())) {
            artefacts.putAll(CalibrationRun.calibrate(Winnow.sparseModel(dense), policy, calibration));
        }
        return Winnow.wrap(dense, policy, artefacts);
    }

    /** Streams a story through a wrapped model's {@code Predictor}. */
    void tellStory(PrintStream out) throws TranslateException {
        SparsityMethod method = ROWS.getFirst().method();
        progress.say(
                "A story by babyllama-tok361 (a real model of 969,216 weights), loaded with DJL, under %s:",
                method.spec());
        try (ZooModel<String, TextStream> fast = wrap(method);
                Predictor<String, TextStream> predictor = fast.newPredictor();
                TextStream story = predictor.predict(PROMPT)) {
            out.print("\n    " + PROMPT);
            for (String piece : story) {
                out.print(piece.replace("\n", "\n    "));
                out.flush();
            }
            Generation end = story.join();
            out.printf(
                    Locale.ROOT,
                    "%n%n    (%d tokens in %.1f s, %s)%n%n",
                    end.tokens().length,
                    end.time().toMillis() / 1e3,
                    end.reason());
        }
    }

    /** Prints the table of quality. */
    List<Quality> table(PrintStream out) {
        QualityRun run = new QualityRun(scored, PREFIX);
        int predictions = scored.size() * (scored.getFirst().length - 1 - PREFIX);
        progress.say(
                "Quality on TinyStories' validation text: %d predictions, each decoded after at least %d dense tokens;"
                        + " thresholds from other stories (%d tokens)",
                predictions, PREFIX, calibration.tokens());
        QualityRun.Scores reference = run.score(Winnow.sparseModel(dense));
        List<Quality> rows = new ArrayList<>();
        TextTable table = new TextTable(
                "policy", "asked", "reached", "perplexity", "change", "KL to dense: median", "95th percentile");
        add(rows, table, "dense", 0, reference, reference);
        for (Row row : ROWS) {
            progress.say("scoring %s", row.method().spec());
            try (ZooModel<String, TextStream> sparse = wrap(row.method())) {
                QualityRun.Scores scores = run.score(Winnow.sparseModel(sparse));
                add(rows, table, row.method().spec(), row.sparsity(), scores, reference);
            }
        }
        out.println();
        out.println(table);
        out.println(
                "asked: share of inputs that the method is told to skip where it acts. reached: share of the weight bytes of");
        out.println(
                "all linear layers and the head that a sequence decoded alone does not read (the head is always dense).");
        out.println("KL in nats a token.");
        out.println();
        return rows;
    }

    private static void add(
            List<Quality> rows,
            TextTable table,
            String policy,
            float asked,
            QualityRun.Scores scores,
            QualityRun.Scores dense) {
        // The decimal that was written: 0.4f as a double would be 0.4000000059604645.
        double sparsity = Double.parseDouble(Float.toString(asked));
        rows.add(new Quality(
                policy, sparsity, scores.sparsity(), scores.perplexity(), dense.perplexity(), scores.tokens()));
        double[] divergences = scores.divergences(dense);
        table.row(
                policy,
                String.format(Locale.ROOT, "%.0f %%", 100 * asked),
                String.format(Locale.ROOT, "%.1f %%", 100 * scores.sparsity()),
                String.format(Locale.ROOT, "%.4f", scores.perplexity()),
                String.format(Locale.ROOT, "%+.2f %%", 100 * (scores.perplexity() / dense.perplexity() - 1)),
                String.format(Locale.ROOT, "%.5f", QualityRun.percentile(divergences, 0.5)),
                String.format(Locale.ROOT, "%.5f", QualityRun.percentile(divergences, 0.95)));
    }
}
