package ai.winnow.contract;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.contract.RetrievalTask.Question;
import ai.winnow.ir.Phase;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.ReferenceProvider;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bounds that {@code docs/retrieval-model.md} states, by enumeration, and what the model answers on the reference backend. */
class RetrievalModelTest {

    private static final int POSITIONS = RetrievalModel.MOST_POSITIONS;

    /** What int8 keys add to or take from a score of the previous-token heads, at most. */
    private static final double INT8_ERROR =
            RetrievalModel.POSITION_PAIRS * RetrievalModel.POSITION_GAIN * Math.sqrt(2) / 254;

    @Test
    void codesKeepTheirDistances() {
        RetrievalCodes codes = RetrievalModel.of(1, POSITIONS).codes();
        int firstKey = RetrievalCodes.key(0, 0);
        for (int token = 0; token < codes.size(); token++) {
            for (int other = 0; other < token; other++) {
                boolean bothKeys = isKey(token) && isKey(other);
                boolean oneKey = isKey(token) || isKey(other);
                int distance = codes.distance(token, other);
                if (bothKeys
                        && (token - firstKey) / RetrievalCodes.CLUSTER_SIZE
                                == (other - firstKey) / RetrievalCodes.CLUSTER_SIZE) {
                    assertThat(distance).as("%d, %d", token, other).isEqualTo(RetrievalCodes.LEAST_DISTANCE);
                } else {
                    int flips = bothKeys ? 2 * RetrievalCodes.FLIPS : oneKey ? RetrievalCodes.FLIPS : 0;
                    assertThat(distance)
                            .as("%d, %d", token, other)
                            .isGreaterThanOrEqualTo(RetrievalCodes.BASE_DISTANCE - flips);
                }
            }
        }
    }

    private static boolean isKey(int token) {
        return token >= RetrievalCodes.key(0, 0) && token < RetrievalCodes.value(0);
    }

    /** The weight of all other rows together, beside that of the row before. */
    @Test
    void thePreviousRowStandsOutFromAllOthers() {
        assertThat(weightOfOtherRows(0)).isLessThan(1e-14);
        assertThat(weightOfOtherRows(2 * INT8_ERROR)).isLessThan(1e-7);
    }

    private static double weightOfOtherRows(double error) {
        double weight = 0;
        for (int distance = 0; distance < POSITIONS; distance++) {
            double gap = 0;
            for (int pair = 0; pair < RetrievalModel.POSITION_PAIRS; pair++) {
                gap += 1 - Math.cos((distance - 1) * radians(pair));
            }
            weight += distance == 1 ? 0 : Math.exp(error - RetrievalModel.POSITION_GAIN * gap);
        }
        return weight;
    }

    /** How far the turning of a head moves a score of a matching head, at the greatest distance. */
    @Test
    void codesHardlyTurn() {
        assertThat(turningError()).isLessThan(1.5e-3);
    }

    private static double turningError() {
        double error = 0;
        for (int pair = RetrievalModel.FIRST_CODE_PAIR; pair < RetrievalModel.HEAD_DIM / 2; pair++) {
            double angle = (POSITIONS - 1) * radians(pair);
            error += 2 * Math.sin(angle) + 2 * (1 - Math.cos(angle));
        }
        return error * Arrays.stream(RetrievalModel.SHARPNESS).max().orElseThrow();
    }

    private static double radians(int pair) {
        return Math.pow(RetrievalModel.THETA, -2.0 * pair / RetrievalModel.HEAD_DIM);
    }

    /** However often near matches occur, and whatever the broad heads say. */
    @Test
    void theVoteOfTheSharpHeadsDecides() {
        double sharp = 1.5;
        double leak = POSITIONS * Math.exp(-2 * sharp * RetrievalCodes.LEAST_DISTANCE);
        // Scores of two matches differ by what turning and norms move them: see docs/retrieval-model.md.
        double spread = 2 * (turningError() + 4e-3);
        double right = 2.0 / 3 * Math.exp(-spread);
        double wrong = 1.0 / 3 * Math.exp(spread);
        assertThat(right - wrong - leak - RetrievalModel.BROAD_VOTE).isGreaterThan(0.05);
    }

    @Test
    void keysOccurAsOftenAsTheirQuestionsSay() {
        RetrievalModel model = RetrievalModel.of(1, 16_384);
        RetrievalTask task = RetrievalTask.of(model, 2, 16_384, 200);
        assertThat(task.context()).hasSize(16_383);
        assertThat(task.questions()).hasSize(200);
        for (Question question : task.questions()) {
            int[] followers = followers(task.context(), question.tokens()[0]);
            assertThat(followers).hasSize(question.occurrences());
            long right = Arrays.stream(followers)
                    .filter(token -> token == question.answer())
                    .count();
            assertThat(right).isEqualTo((2 * question.occurrences() + 2) / 3);
        }
        assertThat(task.questions().stream().map(Question::occurrences).distinct())
                .containsExactly(1, 3, 9, 27, 81);
    }

    private static int[] followers(int[] context, int key) {
        return IntStream.range(0, context.length)
                .filter(i -> context[i] == key)
                .map(i -> context[i + 1])
                .toArray();
    }

    @Test
    void aTaskDependsOnItsSeedAlone() {
        RetrievalModel model = RetrievalModel.of(1, 2048);
        assertThat(RetrievalTask.of(model, 3, 2048, 50).context())
                .isEqualTo(RetrievalTask.of(model, 3, 2048, 50).context())
                .isNotEqualTo(RetrievalTask.of(model, 4, 2048, 50).context());
    }

    @Test
    void sizesThatTheBoundsDoNotHoldForAreRefused() {
        assertThatThrownBy(() -> RetrievalModel.of(1, POSITIONS + 1)).hasMessageContaining("131072");
        assertThatThrownBy(() -> new RetrievalModel(1, 512, 4, 2)).hasMessageContaining("matching layers");
        assertThatThrownBy(() -> new RetrievalModel(1, 512, 2, 3)).hasMessageContaining("key-value head");
        assertThatThrownBy(() -> RetrievalTask.of(RetrievalModel.of(1, 512), 1, 1024, 10))
                .hasMessageContaining("512");
    }

    @Test
    void everySizeAnswersOnTheReferenceBackend(@TempDir Path folder) {
        for (RetrievalModel model : List.of(
                RetrievalModel.of(1, 128), new RetrievalModel(2, 128, 1, 4), new RetrievalModel(3, 128, 3, 2))) {
            model.write(folder);
            RetrievalTask task = RetrievalTask.of(model, 5, 128, 10);
            ModelOptions options = ModelOptions.defaults()
                    .withContextLength(128)
                    .withMaxSequences(1)
                    .withWarmUp(false);
            try (SparseModel loaded = SparseModel.load(folder, SparsityPolicy.dense(), options);
                    Session session = loaded.newSession()) {
                assertThat(loaded.backends().ready()).hasSize(1).first().isInstanceOf(ReferenceProvider.class);
                SequenceId sequence = session.open();
                session.run(Phase.PREFILL, Batch.of(sequence, task.context()));
                for (Question question : task.questions()) {
                    int answer = session.run(Phase.DECODE, Batch.of(sequence, question.tokens()))
                            .argMax(0);
                    assertThat(answer).as("%s, %s", model, question).isEqualTo(question.answer());
                    session.truncate(sequence, task.context().length);
                }
            }
        }
    }
}
