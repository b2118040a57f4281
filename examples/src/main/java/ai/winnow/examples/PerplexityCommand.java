package ai.winnow.examples;

import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.decode.TextCodec;
import ai.winnow.djl.HuggingFaceCodec;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Says what policies cost in quality, on a model and text of the user's own. */
@Command(
        name = "perplexity",
        mixinStandardHelpOptions = true,
        description =
                "Scores policies on a text, token by token. One half of it is what methods are calibrated on, the other"
                        + " is scored: the beginning of each window is read as a prompt, every token behind it is decoded.")
final class PerplexityCommand implements Callable<Integer> {

    @Option(
            names = "--model",
            required = true,
            paramLabel = "DIR",
            description = "folder with config.json, safetensors and tokenizer.json")
    private Path folder = Path.of("");

    @Option(names = "--text", required = true, paramLabel = "FILE", description = "text in UTF-8")
    private Path text = Path.of("");

    @Option(names = "--policies", required = true, split = ";", description = "policies, with ; between them")
    private String[] policies = {};

    @Option(names = "--windows", defaultValue = "16", description = "pieces of the text to score (${DEFAULT-VALUE})")
    private int windows;

    @Option(names = "--window", defaultValue = "256", description = "tokens of each piece (${DEFAULT-VALUE})")
    private int window;

    @Option(
            names = "--prompt",
            defaultValue = "64",
            description = "tokens of each that are a prompt (${DEFAULT-VALUE})")
    private int prompt;

    @Option(names = "--threads", description = "threads to compute with (default: all processors)")
    private int threads;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() throws IOException {
        if (windows < 1 || prompt < 1 || window < prompt + 2) {
            throw wrong("--windows and --prompt must be at least 1, --window at least two more than --prompt");
        }
        List<MethodProvider> methods = Backends.discoverMethods();
        List<SparsityPolicy> parsed = Arrays.stream(policies)
                .map(policy -> SparsityPolicy.parse(policy, methods))
                .toList();
        ModelOptions options = ModelOptions.defaults()
                .withWarmUp(false)
                .withMaxSequences(windows)
                .withMaxStepTokens(Math.max(512, windows * prompt))
                .withThreads(threads);
        try (HuggingFaceCodec codec = HuggingFaceCodec.open(folder);
                SparseModel dense = SparseModel.load(folder, SparsityPolicy.dense(), options)) {
            List<int[]> pieces = pieces(codec, dense);
            int half = pieces.size() / 2;
            CalibrationData calibration = CalibrationData.of(Stories.spread(pieces.subList(0, half), windows));
            QualityRun run = new QualityRun(Stories.spread(pieces.subList(half, pieces.size()), windows), prompt);
            TextTable table =
                    new TextTable("policy", "perplexity", "change", "keys and values read", "KL to dense: median");
            QualityRun.Scores reference = run.score(dense);
            row(table, "dense", reference, reference);
            for (SparsityPolicy policy : parsed) {
                try (SparseModel sparse =
                        dense.withPolicy(policy, CalibrationRun.calibrate(dense, policy, calibration))) {
                    row(table, policy.toString(), run.score(sparse), reference);
                }
            }
            PrintWriter out = spec.commandLine().getOut();
            out.print(table);
            out.println(reference.tokens() + " predictions each, behind " + prompt + " to " + (window - 2) + " tokens");
            out.flush();
        }
        return 0;
    }

    private List<int[]> pieces(TextCodec codec, SparseModel dense) throws IOException {
        int[] tokens = Arrays.stream(codec.encode(Files.readString(text)))
                .filter(token -> !codec.isSpecial(token))
                .toArray();
        int most = dense.limits().contextLength();
        if (window > most) {
            throw wrong("the model's context holds " + most + " tokens, --window asks for " + window);
        }
        List<int[]> pieces =
                Stories.windowsOf(tokens, dense.definition().beginToken().orElse(0), window);
        if (pieces.size() < 2) {
            throw wrong(text + " has " + tokens.length + " tokens, at least " + 2 * (window - 1)
                    + " are needed: a window to calibrate on and one to score");
        }
        return pieces;
    }

    private ParameterException wrong(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    private static void row(TextTable table, String policy, QualityRun.Scores scores, QualityRun.Scores dense) {
        table.row(
                policy,
                String.format(Locale.ROOT, "%.4f", scores.perplexity()),
                String.format(Locale.ROOT, "%+.2f %%", 100 * (scores.perplexity() / dense.perplexity() - 1)),
                String.format(Locale.ROOT, "%.1f %%", 100 * scores.kvRead()),
                String.format(Locale.ROOT, "%.5f", QualityRun.percentile(scores.divergences(dense), 0.5)));
    }
}
