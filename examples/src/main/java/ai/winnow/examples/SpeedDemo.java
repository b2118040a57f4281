package ai.winnow.examples;

import ai.djl.engine.EngineException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.activation.teal.Teal;
import ai.winnow.tensor.DType;
import java.io.PrintStream;
import java.util.List;
import java.util.SplittableRandom;

/** A model of a real size and random weights, through libtorch and through Winnow, one after the other: never two in memory. */
record SpeedDemo(ModelShape shape, int threads, Progress progress) {

    private static final long SEED = 1;
    private static final int PROMPT_TOKENS = 128;
    private static final int NEW_TOKENS = 32;
    private static final Teal TEAL = Teal.uniform(0.5f);

    /** Prints the table of speeds, and how the sparse model runs. */
    List<Speed> table(PrintStream out) {
        progress.say(
                "Speed of a model of Llama-3.2-1B's shape (random weights, seed %d): %d tokens after a prompt of %d, %d threads",
                SEED, NEW_TOKENS, PROMPT_TOKENS, threads);
        SpeedRun run = SpeedRun.of(shape, PROMPT_TOKENS, NEW_TOKENS, threads);
        SpeedTable table = new SpeedTable(shape);
        ModelShape inF32 = SpeedTable.fitting(shape, DType.F32);
        try {
            new LibtorchSpeed(shape, SEED, run, progress).measure(inF32).forEach(table::add);
        } catch (EngineException | LinkageError e) {
            progress.say("libtorch cannot run here, its rows are left out (winnow doctor says more): %s", e);
        }
        WinnowSpeed winnow = new WinnowSpeed(shape, SEED, run, progress);
        try (SparseModel dense = winnow.load(inF32, DType.F32)) {
            winnow.measure(List.of(dense), DType.F32).forEach(table::add);
        }
        String explained;
        try (SparseModel dense = winnow.load(SpeedTable.fitting(shape, DType.BF16), DType.BF16)) {
            progress.say("winnow: calibrating %s on what this model computes", TEAL.spec());
            var artefacts = CalibrationRun.calibrate(dense, SparsityPolicy.of(TEAL), calibrationData());
            try (SparseModel sparse = dense.withPolicy(SparsityPolicy.of(TEAL), artefacts)) {
                winnow.measure(List.of(dense, sparse), DType.BF16).forEach(table::add);
                explained = sparse.explain();
            }
        }
        progress.say("How the sparse model runs:");
        out.println();
        out.println(explained);
        progress.say("Speed of a model of Llama-3.2-1B's shape, %d threads:", threads);
        out.println();
        out.println(table);
        out.println(table.notes());
        return table.speeds();
    }

    /** Random tokens suit random weights; they are other tokens than those of the prompt that is timed. */
    private CalibrationData calibrationData() {
        SplittableRandom random = new SplittableRandom(SEED);
        return CalibrationData.of(List.of(
                random.ints(PROMPT_TOKENS, 0, shape.vocabSize()).toArray(),
                random.ints(PROMPT_TOKENS, 0, shape.vocabSize()).toArray()));
    }
}
