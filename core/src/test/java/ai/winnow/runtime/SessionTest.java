package ai.winnow.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.BackendException;
import ai.winnow.ShapeException;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.tensor.DType;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

/** Sessions of a real model, babyllama-tok361, on the reference backend. */
class SessionTest {

    private static final ModelOptions SMALL = ModelOptions.defaults()
            .withWarmUp(false)
            .withContextLength(96)
            .withMaxSequences(3)
            .withMaxStepTokens(20)
            .withThreads(2);

    private static final Path FOLDER = folder();
    private static final SparseModel MODEL = SparseModel.load(FOLDER, SparsityPolicy.dense(), SMALL);

    private static Path folder() {
        try {
            return Path.of(Objects.requireNonNull(SessionTest.class.getResource("/babyllama-tok361/config.json"))
                            .toURI())
                    .resolveSibling("");
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    @AfterAll
    static void close() {
        MODEL.close();
    }

    @Test
    void logitsAreThoseOfTheGoldenFile() throws Exception {
        JsonObject golden = JsonParser.parseString(Files.readString(FOLDER.resolve("golden.json")))
                .getAsJsonObject();
        float[] expected = floats(golden.getAsJsonArray("last_position_logits"));
        float range = range(expected);
        try (Session session = MODEL.newSession()) {
            Logits logits =
                    session.run(Phase.PREFILL, Batch.of(session.open(), ints(golden.getAsJsonArray("input_ids"))));
            assertThat(maxError(logits.copyOf(0), expected) / range).isLessThan(1e-4f);
        }
    }

    @Test
    void prefillAndDecodeEqualOneLongPrefill() {
        int[] tokens = tokens(50, 1);
        try (Session session = MODEL.newSession()) {
            float[] whole =
                    session.run(Phase.PREFILL, Batch.of(session.open(), tokens)).copyOf(0);
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, Arrays.copyOf(tokens, 23)));
            float[] stepped = {};
            for (int i = 23; i < tokens.length; i++) {
                stepped =
                        session.run(Phase.DECODE, Batch.of(sequence, tokens[i])).copyOf(0);
            }
            assertThat(maxError(stepped, whole) / range(whole)).isLessThan(1e-5f);
            assertThat(session.length(sequence)).isEqualTo(tokens.length);
        }
    }

    @Test
    void aRaggedBatchEqualsItsSequencesOneByOne() {
        int[][] prompts = {tokens(7, 2), tokens(33, 3), tokens(1, 4)};
        try (Session session = MODEL.newSession()) {
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
                assertThat(maxError(together.copyOf(i), alone.get(i)) / range(alone.get(i)))
                        .as("sequence %d", i)
                        .isLessThan(1e-5f);
            }
        }
    }

    @Test
    void truncateTakesASequenceBack() {
        int[] tokens = tokens(30, 5);
        try (Session session = MODEL.newSession()) {
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, Arrays.copyOf(tokens, 29)));
            float[] first =
                    session.run(Phase.DECODE, Batch.of(sequence, tokens[29])).copyOf(0);
            session.run(Phase.PREFILL, Batch.of(sequence, tokens(40, 6)));
            session.truncate(sequence, 29);
            assertThat(session.run(Phase.DECODE, Batch.of(sequence, tokens[29])).copyOf(0))
                    .containsExactly(first);
        }
    }

    @Test
    void forksGoTheirOwnWays() {
        int[] tokens = tokens(70, 5); // one page, and some rows of the next
        int[] other = tokens(4, 6);
        try (Session session = MODEL.newSession()) {
            SequenceId alone = session.open();
            session.run(Phase.PREFILL, Batch.of(alone, tokens));
            float[] one = session.run(Phase.DECODE, Batch.of(alone, other[0])).copyOf(0);
            session.truncate(alone, 70);
            float[] two = session.run(Phase.DECODE, Batch.of(alone, other[1])).copyOf(0);
            session.truncate(alone, 70);
            int pages = session.freePages();
            SequenceId fork = session.fork(alone);
            assertThat(session.freePages()).isEqualTo(pages);
            assertThat(session.length(fork)).isEqualTo(70);
            assertThat(session.run(Phase.DECODE, Batch.of(fork, other[1])).copyOf(0))
                    .containsExactly(two);
            assertThat(session.run(Phase.DECODE, Batch.of(alone, other[0])).copyOf(0))
                    .containsExactly(one);
            session.close(alone);
            session.truncate(fork, 70);
            assertThat(session.run(Phase.DECODE, Batch.of(fork, other[0])).copyOf(0))
                    .containsExactly(one);
        }
    }

    @Test
    void aFailedStepLeavesEverySequenceAsItWas() {
        try (Session session = MODEL.newSession()) {
            SequenceId good = session.open();
            SequenceId full = session.open();
            float[] before =
                    session.run(Phase.PREFILL, Batch.of(good, tokens(10, 7))).copyOf(0);
            session.run(Phase.PREFILL, Batch.of(full, tokens(90, 8)));
            int pages = session.freePages();
            assertThatThrownBy(() -> session.run(
                            Phase.PREFILL,
                            new Batch(List.of(
                                    new Batch.Entry(good, tokens(70, 9)), new Batch.Entry(full, tokens(7, 10))))))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("the context holds 96");
            assertThat(session.freePages()).isEqualTo(pages);
            assertThat(session.length(good)).isEqualTo(10);
            session.truncate(good, 9);
            assertThat(session.run(Phase.DECODE, Batch.of(good, tokens(10, 7)[9]))
                            .copyOf(0))
                    .usingComparatorWithPrecision(1e-4f)
                    .containsExactly(before);
        }
    }

    @Test
    void aStepThatIsNotFiniteIsUndoneAndSaysSo() {
        try (Session session = MODEL.newSession()) {
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, 1, 2, 3));
            session.observe((node, operands) -> {
                if (node.site().role() == Role.FINAL_NORM) {
                    operands.output(0).dtype().setFloat(operands.out(0), 0, Float.NaN);
                }
            });
            assertThatThrownBy(() -> session.run(Phase.DECODE, Batch.of(sequence, 4)))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("not finite");
            session.observe(null);
            assertThat(session.length(sequence)).isEqualTo(3);
        }
    }

    @Test
    void aFailureInALaterPieceOfAPromptUndoesTheEarlierOnesToo() {
        try (Session session = MODEL.newSession()) {
            SequenceId first = session.open();
            SequenceId second = session.open();
            int[] next = tokens(1, 11);
            session.run(Phase.PREFILL, Batch.of(first, tokens(10, 7)));
            float[] expected = session.run(Phase.DECODE, Batch.of(first, next)).copyOf(0);
            session.truncate(first, 10);
            session.run(Phase.PREFILL, Batch.of(second, tokens(5, 8)));
            int pages = session.freePages();
            // Two pieces of 20 rows: the first ends within the second sequence, the second one fails.
            AtomicInteger runs = new AtomicInteger();
            session.observe((node, operands) -> {
                if (node.site().role() == Role.TOKEN_EMBED && runs.incrementAndGet() == 2) {
                    operands.output(0).dtype().setFloat(operands.out(0), 0, Float.NaN);
                }
            });
            Batch batch =
                    new Batch(List.of(new Batch.Entry(first, tokens(12, 9)), new Batch.Entry(second, tokens(28, 10))));
            assertThatThrownBy(() -> session.run(Phase.PREFILL, batch))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("not finite");
            session.observe(null);
            assertThat(runs).hasValue(2);
            assertThat(session.length(first)).isEqualTo(10);
            assertThat(session.length(second)).isEqualTo(5);
            assertThat(session.freePages()).isEqualTo(pages);
            assertThat(session.run(Phase.DECODE, Batch.of(first, next)).copyOf(0))
                    .containsExactly(expected);
        }
    }

    @Test
    void wrongInputIsNamedBeforeAnythingChanges() {
        try (Session session = MODEL.newSession()) {
            SequenceId sequence = session.open();
            assertThatThrownBy(() -> session.run(Phase.PREFILL, Batch.of(sequence, 1, 361)))
                    .isInstanceOf(ShapeException.class)
                    .hasMessageContaining("token 361");
            assertThatThrownBy(() -> session.run(Phase.DECODE, Batch.of(sequence, 1, 2)))
                    .isInstanceOf(ShapeException.class)
                    .hasMessageContaining("one token");
            assertThatThrownBy(() -> session.run(Phase.ENCODE, Batch.of(sequence, 1)))
                    .isInstanceOf(ShapeException.class)
                    .hasMessageContaining("no graph for ENCODE");
            assertThatThrownBy(() -> Batch.of(sequence)).isInstanceOf(IllegalArgumentException.class);
            assertThat(session.length(sequence)).isZero();
        }
    }

    @Test
    void anIdOfAClosedSequenceIsRefused() {
        try (Session session = MODEL.newSession()) {
            SequenceId old = session.open();
            session.close(old);
            SequenceId young = session.open();
            assertThat(young.slot()).isEqualTo(old.slot());
            assertThatThrownBy(() -> session.length(old)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void sequencesBeyondTheSlotsAreRefused() {
        try (Session session = MODEL.newSession()) {
            for (int i = 0; i < 3; i++) {
                session.open();
            }
            assertThatThrownBy(session::open)
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("maxSequences");
        }
    }

    @Test
    void aSecondThreadIsRefused() throws Exception {
        try (Session session = MODEL.newSession()) {
            SequenceId sequence = session.open();
            CountDownLatch inside = new CountDownLatch(1);
            CountDownLatch leave = new CountDownLatch(1);
            session.observe((node, operands) -> {
                inside.countDown();
                try {
                    leave.await();
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            AtomicReference<Throwable> failure = new AtomicReference<>();
            Thread other = Thread.ofPlatform().start(() -> {
                try {
                    session.run(Phase.PREFILL, Batch.of(sequence, 1));
                } catch (RuntimeException e) {
                    failure.set(e);
                }
            });
            inside.await();
            assertThatThrownBy(() -> session.length(sequence))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("another thread");
            leave.countDown();
            other.join();
            assertThat(failure.get()).isNull();
        }
    }

    @Test
    void weightsAreSharedBetweenPoliciesAndFreedWithTheLast() {
        SparseModel first = SparseModel.load(FOLDER, SparsityPolicy.dense(), SMALL);
        long bytes = first.weights().bytes();
        SparseModel second = first.withPolicy(SparsityPolicy.dense(), java.util.Map.of());
        assertThat(second.weights()).isSameAs(first.weights());
        assertThat(second.weights().bytes()).isEqualTo(bytes);
        first.close();
        try (Session session = second.newSession()) {
            session.run(Phase.PREFILL, Batch.of(session.open(), 1, 2));
        }
        second.close();
        assertThatThrownBy(() -> second.weights().retain()).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void lowPrecisionWeightsStayNearTheDenseModel() {
        int[] tokens = tokens(20, 11);
        float[] exact;
        try (Session session = MODEL.newSession()) {
            exact = session.run(Phase.PREFILL, Batch.of(session.open(), tokens)).copyOf(0);
        }
        for (DType type : List.of(DType.BF16, DType.F16, DType.I8, DType.I4)) {
            try (SparseModel low = SparseModel.load(FOLDER, SparsityPolicy.dense(), SMALL.withWeightType(type));
                    Session session = low.newSession()) {
                float[] logits = session.run(Phase.PREFILL, Batch.of(session.open(), tokens))
                        .copyOf(0);
                assertThat(maxError(logits, exact) / range(exact))
                        .as("%s", type)
                        .isBetween(1e-8f, type == DType.I4 ? 0.3f : 0.05f);
            }
        }
    }

    @Test
    void explainNamesEveryRoleAndItsKernel() {
        assertThat(MODEL.explain())
                .contains("policy     dense", "DECODE", "PREFILL", "DOWN", "reference", "decomposed Linear");
    }

    private static int[] tokens(int count, int seed) {
        return new java.util.Random(seed).ints(count, 3, 361).toArray();
    }

    private static float[] floats(JsonArray array) {
        float[] values = new float[array.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = array.get(i).getAsFloat();
        }
        return values;
    }

    private static int[] ints(JsonArray array) {
        return array.asList().stream().mapToInt(e -> e.getAsInt()).toArray();
    }

    private static float range(float[] values) {
        float min = Float.POSITIVE_INFINITY;
        float max = Float.NEGATIVE_INFINITY;
        for (float value : values) {
            min = Math.min(min, value);
            max = Math.max(max, value);
        }
        return max - min;
    }

    private static float maxError(float[] a, float[] b) {
        assertThat(a).hasSameSizeAs(b);
        float worst = 0;
        for (int i = 0; i < a.length; i++) {
            worst = Math.max(worst, Math.abs(a[i] - b[i]));
        }
        return worst;
    }
}
