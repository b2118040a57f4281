package ai.winnow.examples;

import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.decode.TextCodec;
import ai.winnow.djl.HuggingFaceCodec;
import ai.winnow.io.Artefact;
import ai.winnow.io.ArtefactStore;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Measures a model for a policy's methods, and stores the results where loading finds them. */
@Command(
        name = "calibrate",
        mixinStandardHelpOptions = true,
        description = "Measures a model on a text like what it will see, and stores the results in its folder.")
final class CalibrateCommand implements Callable<Integer> {

    @Mixin
    private ModelArguments model = new ModelArguments();

    @Option(names = "--text", required = true, paramLabel = "FILE", description = "a few pages of text in UTF-8")
    private Path text = Path.of("");

    @Option(names = "--windows", defaultValue = "32", description = "pieces of the text to run (${DEFAULT-VALUE})")
    private int windows;

    @Option(names = "--window", defaultValue = "256", description = "tokens of each piece (${DEFAULT-VALUE})")
    private int window;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        if (windows < 1 || window < 2) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--windows must be at least 1 and --window at least 2 (a token and the one before it)");
        }
        SparsityPolicy policy = model.policy();
        if (policy.methods().stream().allMatch(method -> method.calibrator().isEmpty())) {
            out.println(policy + " needs no calibration");
            return 0;
        }
        ModelOptions options =
                ModelOptions.defaults().withWarmUp(false).withMaxSequences(1).withThreads(model.threads());
        try (HuggingFaceCodec codec = HuggingFaceCodec.open(model.folder());
                SparseModel dense = SparseModel.load(model.folder(), SparsityPolicy.dense(), options)) {
            Map<String, Artefact> artefacts = CalibrationRun.calibrate(dense, policy, data(codec, dense));
            artefacts.forEach((method, artefact) -> {
                Path folder = SparseModel.artefactFolder(model.folder(), method);
                ArtefactStore.save(folder, artefact);
                out.println(folder + ": " + artefact);
            });
            out.flush();
        }
        return 0;
    }

    private CalibrationData data(TextCodec codec, SparseModel dense) throws IOException {
        int[] tokens = Arrays.stream(codec.encode(Files.readString(text)))
                .filter(token -> !codec.isSpecial(token))
                .toArray();
        if (tokens.length < 2) {
            throw new ParameterException(spec.commandLine(), text + " holds no text to calibrate on");
        }
        int begin = dense.definition().beginToken().orElse(tokens[0]);
        int length = Math.min(Math.min(window, dense.limits().contextLength()), tokens.length + 1);
        List<int[]> pieces = Stories.windowsOf(tokens, begin, length);
        return CalibrationData.of(Stories.spread(pieces, windows));
    }
}
