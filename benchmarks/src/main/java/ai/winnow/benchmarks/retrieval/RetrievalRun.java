package ai.winnow.benchmarks.retrieval;

import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.contract.RetrievalModel;
import ai.winnow.contract.RetrievalTask;
import ai.winnow.io.Artefact;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import com.google.gson.GsonBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Asks the constructed retrieval model ({@code docs/retrieval-model.md}) about long texts, under each policy, and writes how many
 * answers were right against the budget. {@code mvn -q -Pretrieval verify -DskipTests} from the root of the sources.
 */
@Command(
        name = "retrieval",
        mixinStandardHelpOptions = true,
        description = "Right answers about long texts, by policy.")
public final class RetrievalRun implements Callable<Integer> {

    private static final long SEED = 1;

    private static final int CALIBRATION_WINDOWS = 4;
    private static final int CALIBRATION_LENGTH = 512;

    private static final Pattern BUDGET = Pattern.compile(",?\\bbudget=(\\d+)");

    /** A budget in blocks of keys. */
    private static final Pattern BLOCKS = Pattern.compile("\\bblock=(\\d+),blocks=(\\d+)");

    @Option(names = "--contexts", split = ",", defaultValue = "4096,16384,65536", description = "tokens of each text")
    private int[] contexts = {};

    @Option(names = "--questions", defaultValue = "200", description = "questions about each text")
    private int questions;

    @Option(
            names = "--policies",
            split = ";",
            defaultValue = "dense;tidal-decode:budget=8,select=2;tidal-decode:budget=32,select=2;"
                    + "tidal-decode:budget=128,select=2;tidal-decode:budget=512,select=2;tidal-decode:budget=2048,select=2;"
                    + "double-sparsity:budget=32,from=0;double-sparsity:budget=128,from=0;"
                    + "double-sparsity:budget=512,from=0;double-sparsity:budget=2048,from=0;"
                    + "double-sparsity:budget=8,factor=4,from=0;double-sparsity:budget=32,factor=4,from=0;"
                    + "double-sparsity:budget=128,factor=4,from=0;double-sparsity:budget=512,factor=4,from=0;"
                    + "ssa:blocks=4;ssa:blocks=16;ssa:blocks=64;"
                    + "tca-attention:tau=0.7;tca-attention:tau=0.9;tca-attention:tau=0.98",
            description = "policies, with ; between them")
    private String[] policies = {};

    @Option(
            names = "--kv",
            defaultValue = "F32",
            description = "type of cached keys and values: ${COMPLETION-CANDIDATES}")
    private DType kvType = DType.F32;

    @Option(
            names = "--prefill",
            defaultValue = "WINDOW",
            description = "how texts are read for policies other than dense: WINDOW, through a window of "
                    + WindowedPrefill.ROWS
                    + " rows, which leaves the same keys and values and takes seconds, unless the policy chooses keys there"
                    + " itself; or POLICY, as the policy says")
    private Prefill prefill = Prefill.WINDOW;

    @Option(names = "--out", defaultValue = "docs/results/retrieval.json", description = "the file to write")
    private Path out = Path.of("");

    /** How texts are read. */
    enum Prefill {
        WINDOW,
        POLICY
    }

    /** A point of a curve, as the file has it. */
    record Point(String method, int context, int budget, double accuracy, double bytesReadFraction) {

        /** @param policy its budget, if it names one, apart from the rest; without one it is as many keys as are read */
        static Point of(String policy, int context, Answers answers) {
            Matcher blocks = BLOCKS.matcher(policy);
            if (blocks.find()) {
                int keys = Integer.parseInt(blocks.group(1)) * Integer.parseInt(blocks.group(2));
                return of(blocks.replaceFirst("block=$1,budget=" + keys), context, answers);
            }
            Matcher budget = BUDGET.matcher(policy);
            boolean found = budget.find();
            String method = found ? budget.replaceFirst("").replace(":,", ":").replaceFirst(":$", "") : policy;
            return new Point(
                    method,
                    context,
                    found ? Integer.parseInt(budget.group(1)) : (int) Math.round(context * answers.bytesReadFraction()),
                    answers.all().share(),
                    answers.bytesReadFraction());
        }
    }

    public static void main(String... arguments) {
        System.exit(new CommandLine(new RetrievalRun()).execute(arguments));
    }

    @Override
    public Integer call() throws IOException {
        List<MethodProvider> methods = Backends.discoverMethods();
        List<SparsityPolicy> parsed = new ArrayList<>();
        for (String policy : policies) {
            parsed.add(SparsityPolicy.parse(policy, methods));
        }
        Path folder = Files.createTempDirectory("retrieval-model");
        try {
            List<Point> points = new ArrayList<>();
            for (int context : contexts) {
                RetrievalModel model = RetrievalModel.of(SEED, context);
                model.write(folder);
                RetrievalTask task = RetrievalTask.of(model, SEED, context, questions);
                ModelOptions options = ModelOptions.defaults()
                        .withContextLength(context)
                        .withMaxSequences(1)
                        .withWarmUp(false)
                        .withKvType(kvType);
                try (SparseModel dense = SparseModel.load(folder, SparsityPolicy.dense(), options)) {
                    for (SparsityPolicy policy : parsed) {
                        Answers answers = answers(dense, model, policy, task);
                        points.add(Point.of(policy.toString(), context, answers));
                        System.out.println(line(points.getLast(), answers));
                    }
                }
            }
            write(points);
        } finally {
            for (String file : List.of("config.json", "model.safetensors")) {
                Files.deleteIfExists(folder.resolve(file));
            }
            Files.delete(folder);
        }
        return 0;
    }

    /** The dense policy reads the text densely, whatever it costs: it is what the others are held against. */
    private Answers answers(SparseModel dense, RetrievalModel model, SparsityPolicy policy, RetrievalTask task) {
        if (policy.methods().isEmpty()) {
            return Answers.of(dense, task);
        }
        boolean windowed = prefill == Prefill.WINDOW && !WindowedPrefill.isRival(policy);
        SparsityPolicy whole = windowed ? WindowedPrefill.before(policy) : policy;
        Map<String, Artefact> artefacts = CalibrationRun.calibrate(dense, policy, otherTexts(model));
        try (SparseModel sparse = dense.withPolicy(whole, artefacts)) {
            return Answers.of(sparse, task);
        }
    }

    /** What methods that measure the model are shown: short texts like those they are asked about, none of them the same. */
    private static CalibrationData otherTexts(RetrievalModel model) {
        int length = Math.min(model.positions(), CALIBRATION_LENGTH);
        return CalibrationData.of(LongStream.rangeClosed(1, CALIBRATION_WINDOWS)
                .mapToObj(i ->
                        RetrievalTask.of(model, SEED + i, length, length / 8).context())
                .toList());
    }

    private static String line(Point point, Answers answers) {
        String byOccurrences = answers.byOccurrences().entrySet().stream()
                .map(entry -> entry.getKey() + "x " + entry.getValue().right() + "/"
                        + entry.getValue().asked())
                .collect(Collectors.joining(", "));
        return String.format(
                Locale.ROOT,
                "%-40s context %6d  budget %6d  right %5.1f %%  read %5.1f %%  prefill %.1f s, questions %.1f s  (%s)",
                point.method,
                point.context,
                point.budget,
                100 * point.accuracy,
                100 * point.bytesReadFraction,
                answers.prefillSeconds(),
                answers.questionSeconds(),
                byOccurrences);
    }

    private void write(List<Point> points) throws IOException {
        Path folder = out.toAbsolutePath().getParent();
        if (folder != null) {
            Files.createDirectories(folder);
        }
        String json = new GsonBuilder()
                .setPrettyPrinting()
                .disableHtmlEscaping()
                .create()
                .toJson(points);
        Files.writeString(out, json + "\n");
        System.out.println("written to " + out);
    }
}
