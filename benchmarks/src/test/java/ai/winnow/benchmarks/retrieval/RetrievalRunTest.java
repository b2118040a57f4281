package ai.winnow.benchmarks.retrieval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.contract.RetrievalModel;
import ai.winnow.contract.RetrievalTask;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import picocli.CommandLine;

class RetrievalRunTest {

    @TempDir
    private Path folder = Path.of("");

    /** The latest rows only, in decoding. */
    private record Window(int rows) implements SparsityMethod {

        @Override
        public MethodInfo info() {
            return new MethodInfo("window", "sees the latest rows", "none");
        }

        @Override
        public String spec() {
            return "window:budget=" + rows;
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return List.of(new Rewrite(
                    Rewrite.Stage.ATTENTION,
                    Set.of(Phase.DECODE),
                    Set.of(new Rewrite.Claim(Role.ATTENTION, Rewrite.Aspect.KEYS)),
                    graph -> graph.mapOps(node -> node.op() instanceof Attention a
                            ? new Attention(a.shape(), a.layer(), a.queryHeads(), a.scale(), rows)
                            : node.op())));
        }
    }

    private SparseModel load(RetrievalModel model, DType kvType) {
        model.write(folder);
        return SparseModel.load(folder, SparsityPolicy.dense(), options(model, kvType));
    }

    private static ModelOptions options(RetrievalModel model, DType kvType) {
        return ModelOptions.defaults()
                .withContextLength(model.positions())
                .withMaxSequences(1)
                .withKvType(kvType)
                .withWarmUp(false);
    }

    private static Answers answers(SparseModel dense, RetrievalTask task, SparsityMethod method) {
        try (SparseModel sparse = dense.withPolicy(WindowedPrefill.before(SparsityPolicy.of(method)), Map.of())) {
            return Answers.of(sparse, task);
        }
    }

    private static void assertAllRight(Answers answers, int questions) {
        assertThat(answers.all()).isEqualTo(new Answers.Count(questions, questions));
        assertThat(answers.bytesReadFraction()).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "I8"})
    void denseAttentionAnswersEveryQuestion(DType kvType) {
        RetrievalModel model = RetrievalModel.of(7, 2048);
        try (SparseModel dense = load(model, kvType)) {
            assertAllRight(Answers.of(dense, RetrievalTask.of(model, 8, 2048, 200)), 200);
        }
    }

    @Test
    void denseAttentionAnswersEveryQuestionAboutLongerTexts() {
        RetrievalModel model = RetrievalModel.of(9, 8192);
        try (SparseModel dense = load(model, DType.F32)) {
            assertAllRight(Answers.of(dense, RetrievalTask.of(model, 10, 8192, 200)), 200);
        }
    }

    @Test
    void fourHeadsToAGroupAnswerEveryQuestion() {
        RetrievalModel model = new RetrievalModel(11, 2048, 2, 4);
        try (SparseModel dense = load(model, DType.F32)) {
            assertAllRight(Answers.of(dense, RetrievalTask.of(model, 12, 2048, 100)), 100);
        }
    }

    /** At the limit, in the type with the greatest error; the text is read through a window, for dense reading takes many minutes. */
    @Test
    void textsOfAllPositionsAreAnswered() {
        RetrievalModel model = RetrievalModel.of(13, RetrievalModel.MOST_POSITIONS);
        try (SparseModel dense = load(model, DType.I8)) {
            RetrievalTask task = RetrievalTask.of(model, 14, RetrievalModel.MOST_POSITIONS, 30);
            assertAllRight(answers(dense, task, new Window(RetrievalModel.MOST_POSITIONS)), 30);
        }
    }

    /** So it may stand in for dense reading. */
    @Test
    void readingThroughAWindowLeavesTheSameLogits() {
        RetrievalModel model = RetrievalModel.of(15, 2048);
        RetrievalTask task = RetrievalTask.of(model, 16, 2048, 20);
        try (SparseModel dense = load(model, DType.F32);
                SparseModel windowed = dense.withPolicy(WindowedPrefill.before(SparsityPolicy.dense()), Map.of())) {
            List<float[]> expected = logits(dense, task);
            List<float[]> found = logits(windowed, task);
            for (int question = 0; question < expected.size(); question++) {
                for (int token = 0; token < expected.get(question).length; token++) {
                    assertThat(found.get(question)[token])
                            .as("question %d, token %d", question, token)
                            .isCloseTo(expected.get(question)[token], within(0.1f));
                }
            }
        }
    }

    private static List<float[]> logits(SparseModel model, RetrievalTask task) {
        List<float[]> logits = new ArrayList<>();
        try (Session session = model.newSession()) {
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, task.context()));
            for (RetrievalTask.Question question : task.questions()) {
                logits.add(session.run(Phase.DECODE, Batch.of(sequence, question.tokens()))
                        .copyOf(0));
                session.truncate(sequence, task.context().length);
            }
        }
        return logits;
    }

    @Test
    void whoDoesNotSeeTheFactCannotAnswer() {
        RetrievalModel model = RetrievalModel.of(17, 4096);
        RetrievalTask task = RetrievalTask.of(model, 18, 4096, 100);
        try (SparseModel dense = load(model, DType.F32)) {
            assertThat(answers(dense, task, new Window(1)).all().right()).isZero();
            Answers half = answers(dense, task, new Window(2048));
            assertThat(half.bytesReadFraction()).isCloseTo(0.5, within(0.01));
            assertThat(half.byOccurrences()
                            .getOrDefault(1, new Answers.Count(0, 1))
                            .share())
                    .isBetween(0.3, 0.7);
            assertThat(half.all().share()).isLessThan(0.9);
        }
    }

    /** With a budget of the best rows a question is answered surely if all its facts fit, and else by a sample of its votes. */
    @Test
    void answersGrowWithTheBudget() {
        RetrievalModel model = RetrievalModel.of(19, 2048);
        RetrievalTask task = RetrievalTask.of(model, 20, 2048, 40);
        assertThat(task.questions().stream()
                        .mapToInt(RetrievalTask.Question::occurrences)
                        .max())
                .hasValue(27);
        try (SparseModel dense = load(model, DType.F32)) {
            double few = share(dense, task, new TopRows(1));
            double some = share(dense, task, new TopRows(3));
            double all = share(dense, task, new TopRows(27));
            assertThat(few).isBetween(0.5, 0.9);
            assertThat(some).isGreaterThan(few).isLessThan(1);
            assertThat(all).isEqualTo(1);
        }
    }

    private static double share(SparseModel dense, RetrievalTask task, SparsityMethod method) {
        try (SparseModel sparse = dense.withPolicy(WindowedPrefill.before(SparsityPolicy.of(method)), Map.of())) {
            List<float[]> logits = logits(sparse, task);
            int right = 0;
            for (int i = 0; i < logits.size(); i++) {
                float[] row = logits.get(i);
                int answer = task.questions().get(i).answer();
                right += IntStream.range(0, row.length).allMatch(token -> token == answer || row[token] < row[answer])
                        ? 1
                        : 0;
            }
            return (double) right / logits.size();
        }
    }

    @Test
    void anOpWhoseReadsAreNotKnownIsNotCountedAsNothing() {
        RetrievalModel model = RetrievalModel.of(21, 512);
        try (SparseModel dense = load(model, DType.F32)) {
            RetrievalTask task = RetrievalTask.of(model, 22, 512, 2);
            assertThatThrownBy(() -> answers(dense, task, new TopRows(3)))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("TopAttention");
        }
    }

    /** A method that measures the model is shown other texts first. */
    @Test
    void theFileHasAPointForEachPolicyAndContext() throws IOException {
        Path out = folder.resolve("results/retrieval.json");
        int code = new CommandLine(new RetrievalRun())
                .execute(
                        "--contexts=512,1024",
                        "--questions=10",
                        "--policies=dense;teal:0",
                        "--kv=BF16",
                        "--out=" + out);
        assertThat(code).isZero();
        JsonArray points = JsonParser.parseString(Files.readString(out)).getAsJsonArray();
        assertThat(points).hasSize(4);
        JsonObject point = points.get(3).getAsJsonObject();
        assertThat(point.keySet()).containsExactly("method", "context", "budget", "accuracy", "bytesReadFraction");
        assertThat(point.get("method").getAsString()).startsWith("teal:0");
        assertThat(point.get("context").getAsInt()).isEqualTo(1024);
        assertThat(point.get("budget").getAsInt()).isEqualTo(1024);
        assertThat(point.get("accuracy").getAsDouble()).isEqualTo(1);
        assertThat(point.get("bytesReadFraction").getAsDouble()).isEqualTo(1);
    }

    @Test
    void theBudgetOfAPolicyStandsApartFromItsName() {
        Answers answers = new Answers(new TreeMap<>(Map.of(1, new Answers.Count(3, 4))), 0.25, 1, 1);
        assertThat(RetrievalRun.Point.of("quest:budget=256", 4096, answers))
                .isEqualTo(new RetrievalRun.Point("quest", 4096, 256, 0.75, 0.25));
        assertThat(RetrievalRun.Point.of("quest:page=16,budget=256,sink=4", 4096, answers)
                        .method())
                .isEqualTo("quest:page=16,sink=4");
        assertThat(RetrievalRun.Point.of("quest:budget=256,page=16", 4096, answers)
                        .method())
                .isEqualTo("quest:page=16");
        assertThat(RetrievalRun.Point.of("teal:0.4 + quest:budget=64", 4096, answers))
                .isEqualTo(new RetrievalRun.Point("teal:0.4 + quest", 4096, 64, 0.75, 0.25));
        assertThat(RetrievalRun.Point.of("ssa:block=32,blocks=4", 4096, answers))
                .isEqualTo(new RetrievalRun.Point("ssa:block=32", 4096, 128, 0.75, 0.25));
    }
}
