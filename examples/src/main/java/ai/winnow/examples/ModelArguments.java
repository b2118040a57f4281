package ai.winnow.examples;

import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The options that every command has that opens a model. */
final class ModelArguments {

    @Option(
            names = "--model",
            required = true,
            paramLabel = "DIR",
            description = "folder with config.json, safetensors and tokenizer.json")
    private Path folder = Path.of("");

    @Option(
            names = "--policy",
            defaultValue = "dense",
            description = "for example teal:0.4, or dense (default: ${DEFAULT-VALUE})")
    private String policy = "dense";

    @Option(names = "--threads", description = "threads to compute with (default: all processors)")
    private int threads;

    Path folder() {
        return folder;
    }

    int threads() {
        return threads;
    }

    SparsityPolicy policy() {
        return SparsityPolicy.parse(policy, Backends.discoverMethods());
    }
}
