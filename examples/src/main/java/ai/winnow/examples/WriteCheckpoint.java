package ai.winnow.examples;

import ai.winnow.io.ShardedSafeTensorsWriter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Writes a checkpoint of random weights as Hugging Face lays it out: {@code config.json} and safetensors in shards. */
@Command(
        name = "write-checkpoint",
        mixinStandardHelpOptions = true,
        description = "Writes a checkpoint of random weights: config.json and safetensors in shards, in bf16.")
public final class WriteCheckpoint implements Callable<Integer> {

    /** The sizes to choose from. */
    enum Size {
        B1("1b", ModelShape.ONE_BILLION, 1L << 30),
        TINY("tiny", ModelShape.TINY, 32 << 10);

        final String text;
        final ModelShape shape;
        final long shardBytes;

        Size(String text, ModelShape shape, long shardBytes) {
            this.text = text;
            this.shape = shape;
            this.shardBytes = shardBytes;
        }

        @Override
        public String toString() {
            return text;
        }

        static Size of(String text) {
            for (Size size : values()) {
                if (size.text.equals(text)) {
                    return size;
                }
            }
            throw new CommandLine.TypeConversionException("there is no shape '" + text + "', only 1b and tiny");
        }
    }

    @Option(names = "--shape", required = true, description = "1b (that of Llama-3.2-1B, 2.5 GB) or tiny")
    private Size size = Size.TINY;

    @Option(
            names = "--out",
            description = "the folder; made if it is missing (default: target/checkpoint and the shape's name)")
    private @Nullable Path out;

    @Option(names = "--seed", defaultValue = "1", description = "other seed, other weights (default: ${DEFAULT-VALUE})")
    private long seed;

    static void main(String... arguments) {
        CommandErrors.runAndExit(commandLine(), arguments);
    }

    static CommandLine commandLine() {
        return new CommandLine(new WriteCheckpoint()).registerConverter(Size.class, Size::of);
    }

    @Override
    public Integer call() throws IOException {
        Path folder = out == null ? Path.of("target", "checkpoint-" + size) : out;
        Map<String, TensorSpec> specs = size.shape.tensors(DType.BF16);
        try (RandomWeights weights = new RandomWeights(specs, seed);
                ShardedSafeTensorsWriter writer = ShardedSafeTensorsWriter.create(
                        folder, specs, Map.of("format", "pt", "origin", "random, seed " + seed), size.shardBytes);
                ProgressBar bar = Progress.bar("writing " + folder, " MB", 1_000_000, size.shape.bytes(DType.BF16))) {
            for (Map.Entry<String, TensorSpec> tensor : specs.entrySet()) {
                try (Arena passing = Arena.ofShared()) {
                    writer.write(tensor.getKey(), weights.load(tensor.getKey(), passing));
                }
                bar.stepBy(tensor.getValue().maxBytes());
            }
        }
        Files.writeString(folder.resolve("config.json"), size.shape.json());
        System.out.printf("%s: %d tensors, %.2f GB%n", folder, specs.size(), size.shape.bytes(DType.BF16) / 1e9);
        return 0;
    }
}
