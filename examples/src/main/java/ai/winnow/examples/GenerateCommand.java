package ai.winnow.examples;

import ai.winnow.decode.Decoder;
import ai.winnow.decode.DecoderOptions;
import ai.winnow.decode.Generation;
import ai.winnow.decode.GenerationOptions;
import ai.winnow.decode.TextStream;
import ai.winnow.djl.HuggingFaceCodec;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Continues a text, printing it as it comes. */
@Command(name = "generate", mixinStandardHelpOptions = true, description = "Continues a text, printing it as it comes.")
final class GenerateCommand implements Callable<Integer> {

    @Mixin
    private ModelArguments model = new ModelArguments();

    @Parameters(paramLabel = "PROMPT", description = "the text to continue")
    private String prompt = "";

    @Option(
            names = "--max-tokens",
            defaultValue = "256",
            description = "the most tokens to generate (${DEFAULT-VALUE})")
    private int maxTokens;

    @Option(
            names = "--temperature",
            defaultValue = "0",
            description = "0 takes the most likely token (${DEFAULT-VALUE})")
    private float temperature;

    @Option(names = "--seed", description = "makes sampling repeatable")
    private @Nullable Long seed;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        GenerationOptions generation = GenerationOptions.defaults()
                .withMaxNewTokens(maxTokens)
                .withTemperature(temperature)
                .withSeed(seed);
        ModelOptions options = ModelOptions.defaults().withMaxSequences(1).withThreads(model.threads());
        try (HuggingFaceCodec codec = HuggingFaceCodec.open(model.folder());
                SparseModel loaded = SparseModel.load(model.folder(), model.policy(), options);
                Decoder decoder = new Decoder(loaded, codec, DecoderOptions.defaults());
                TextStream stream = decoder.submit(prompt, generation)) {
            out.print(prompt);
            for (String piece : stream) {
                out.print(piece);
                out.flush();
            }
            out.println();
            Generation end = stream.join();
            spec.commandLine()
                    .getErr()
                    .printf(
                            "%d + %d tokens in %.2f s, %s%n",
                            end.promptTokens(), end.tokens().length, end.time().toMillis() / 1e3, end.reason());
        }
        return 0;
    }
}
