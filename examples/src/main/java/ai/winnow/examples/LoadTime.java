package ai.winnow.examples;

import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Measures how long a checkpoint takes to load and how much memory that takes at most. */
@Command(
        name = "load-time",
        mixinStandardHelpOptions = true,
        description = "Loads a checkpoint, and says how long it took and how much memory.")
public final class LoadTime implements Callable<Integer> {

    @Parameters(paramLabel = "MODEL", description = "folder with config.json and safetensors")
    private Path model = Path.of("");

    @Option(names = "--warm-up", description = "also run the model until its kernels are compiled")
    private boolean warmUp;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    static void main(String... arguments) {
        CommandErrors.runAndExit(new CommandLine(new LoadTime()), arguments);
    }

    @Override
    public Integer call() throws InterruptedException {
        PrintWriter out = spec.commandLine().getOut();
        long start = System.nanoTime();
        ModelOptions options = ModelOptions.defaults().withWarmUp(warmUp);
        try (SparseModel loaded = SparseModel.load(model, SparsityPolicy.dense(), options)) {
            double seconds = (System.nanoTime() - start) / 1e9;
            long weights = loaded.weights().bytes();
            out.printf("load        %.2f s%n", seconds);
            out.printf("weights     %.2f GB%n", weights / 1e9);
            out.printf("resident    %s%n", ProcessMemory.text(ProcessMemory.resident()));
            // What the heap keeps as free space after the warm-up's garbage is not the model's. G1 gives it back behind
            // the collection, in parts.
            System.gc();
            Thread.sleep(1500);
            out.printf("collected   %s%n", ProcessMemory.text(ProcessMemory.resident()));
            ProcessMemory.peak()
                    .ifPresent(peak -> out.printf(
                            "peak        %.2f GB, %.2f x the weights%n", peak / 1e9, peak / (double) weights));
            out.flush();
        }
        return 0;
    }
}
