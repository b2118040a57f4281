package ai.winnow.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.contract.KernelContract;
import ai.winnow.ir.Phase;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.Logits;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.Plan;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** A real model, babyllama-tok361, on this backend alone. */
class SimdModelTest {

    private static final ModelOptions SMALL = ModelOptions.defaults()
            .withWarmUp(false)
            .withContextLength(256)
            .withMaxSequences(4)
            .withMaxStepTokens(160);

    @TempDir
    @SuppressWarnings("NullAway") // JUnit sets it
    private Path folder;

    private SparseModel load(ModelOptions options) {
        try {
            for (String name : List.of("config.json", "model.safetensors", "golden.json")) {
                Path target = folder.resolve(name);
                if (!Files.exists(target)) {
                    try (InputStream in = KernelContract.class.getResourceAsStream("/babyllama-tok361/" + name)) {
                        Files.copy(Objects.requireNonNull(in), target);
                    }
                }
            }
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return SparseModel.load(folder, SparsityPolicy.dense(), options);
    }

    @Test
    void everyNodeRunsOnThisBackend() {
        try (SparseModel model = load(SMALL)) {
            for (Plan.PhasePlan phase : model.plan().phases().values()) {
                assertThat(phase.steps())
                        .allSatisfy(step ->
                                assertThat(step.backend()).as("%s", step.node()).isEqualTo("simd"));
            }
        }
    }

    @Test
    void logitsAreThoseOfTheGoldenFile() throws IOException {
        try (SparseModel model = load(SMALL);
                Session session = model.newSession()) {
            JsonObject golden = new Gson().fromJson(Files.readString(folder.resolve("golden.json")), JsonObject.class);
            float[] expected = new Gson().fromJson(golden.get("last_position_logits"), float[].class);
            int[] ids = new Gson().fromJson(golden.get("input_ids"), int[].class);
            float[] logits =
                    session.run(Phase.PREFILL, Batch.of(session.open(), ids)).copyOf(0);
            assertThat(error(logits, expected)).isLessThan(1e-5);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "BF16", "F16", "I8", "I4"})
    void prefillAndDecodeEqualOneLongPrefill(DType weights) {
        int[] tokens = tokens(150, 1);
        try (SparseModel model = load(SMALL.withWeightType(weights));
                Session session = model.newSession()) {
            float[] whole =
                    session.run(Phase.PREFILL, Batch.of(session.open(), tokens)).copyOf(0);
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, Arrays.copyOf(tokens, 53)));
            float[] stepped = {};
            for (int i = 53; i < tokens.length; i++) {
                stepped =
                        session.run(Phase.DECODE, Batch.of(sequence, tokens[i])).copyOf(0);
            }
            assertThat(error(stepped, whole)).isLessThan(1e-5);
        }
    }

    /** What they lose is what rounding keys and values loses: of a row's greatest magnitude, 1/254 at most with I8, 1/512 with BF16. */
    @ParameterizedTest
    @CsvSource({"BF16, 0.002", "I8, 0.004"})
    void smallerPagesGiveNearlyTheSameLogits(DType pages, double allowed) {
        List<float[]> expected = run(SMALL);
        List<float[]> found = run(SMALL.withKvType(pages));
        for (int i = 0; i < expected.size(); i++) {
            assertThat(error(found.get(i), expected.get(i))).as("step %d", i).isBetween(1e-6, allowed);
        }
    }

    @Test
    void aRaggedBatchEqualsItsSequencesOneByOne() {
        int[][] prompts = {tokens(7, 2), tokens(70, 3), tokens(1, 4), tokens(65, 5)};
        try (SparseModel model = load(SMALL);
                Session session = model.newSession()) {
            List<float[]> alone = new ArrayList<>();
            for (int[] prompt : prompts) {
                SequenceId sequence = session.open();
                alone.add(session.run(Phase.PREFILL, Batch.of(sequence, prompt)).copyOf(0));
                session.close(sequence);
            }
            List<Batch.Entry> entries = new ArrayList<>();
            for (int[] prompt : prompts) {
                entries.add(new Batch.Entry(session.open(), prompt));
            }
            Logits together = session.run(Phase.PREFILL, new Batch(entries));
            for (int i = 0; i < prompts.length; i++) {
                assertThat(error(together.copyOf(i), alone.get(i)))
                        .as("sequence %d", i)
                        .isLessThan(1e-5);
            }
        }
    }

    @Test
    void anyNumberOfThreadsGivesTheSameBits() {
        List<float[]> one = run(SMALL.withThreads(1));
        List<float[]> two = run(SMALL.withThreads(2));
        for (int i = 0; i < one.size(); i++) {
            assertThat(two.get(i)).as("step %d", i).containsExactly(one.get(i));
        }
    }

    /** A long prompt, then some tokens. */
    private List<float[]> run(ModelOptions options) {
        int[] tokens = tokens(140, 6);
        List<float[]> logits = new ArrayList<>();
        try (SparseModel model = load(options);
                Session session = model.newSession()) {
            SequenceId sequence = session.open();
            logits.add(session.run(Phase.PREFILL, Batch.of(sequence, Arrays.copyOf(tokens, 130)))
                    .copyOf(0));
            for (int i = 130; i < tokens.length; i++) {
                logits.add(
                        session.run(Phase.DECODE, Batch.of(sequence, tokens[i])).copyOf(0));
            }
        }
        return logits;
    }

    private static int[] tokens(int count, long seed) {
        return new Random(seed).ints(count, 0, 361).toArray();
    }

    /** The greatest error, relative to the range of what is expected. */
    private static double error(float[] found, float[] expected) {
        float least = Float.MAX_VALUE;
        float greatest = -Float.MAX_VALUE;
        double error = 0;
        for (int i = 0; i < expected.length; i++) {
            least = Math.min(least, expected[i]);
            greatest = Math.max(greatest, expected[i]);
            error = Math.max(error, Math.abs(found[i] - expected[i]));
        }
        return found.length == expected.length ? error / (greatest - least) : Double.NaN;
    }
}
