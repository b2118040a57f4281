package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ir.Phase;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.activation.wina.Wina;
import ai.winnow.tensor.DType;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class QualityRunTest {

    private static final List<int[]> WINDOWS = List.of(new int[] {1, 5, 9, 2, 70, 8}, new int[] {3, 3, 90, 4, 0, 11});

    @Test
    void perplexityIsThatOfTheWholeWindowsPrefilled() {
        try (SparseModel model = model();
                Session session = model.newSession()) {
            double nats = 0;
            int count = 0;
            for (int[] window : WINDOWS) {
                for (int length = 3; length < window.length; length++) {
                    SequenceId sequence = session.open();
                    float[] logits = session.run(Phase.PREFILL, Batch.of(sequence, Arrays.copyOf(window, length)))
                            .copyOf(0);
                    double sum = 0;
                    for (float logit : logits) {
                        sum += Math.exp(logit);
                    }
                    nats += Math.log(sum) - logits[window[length]];
                    count++;
                    session.close(sequence);
                }
            }
            QualityRun.Scores scores = new QualityRun(WINDOWS, 2).score(model);
            assertThat(scores.tokens()).isEqualTo(count);
            assertThat(scores.perplexity()).isCloseTo(Math.exp(nats / count), within(1e-3));
            assertThat(scores.sparsity()).isCloseTo(0, within(1e-9));
        }
    }

    @Test
    void aModelDivergesFromOthersButNotFromItself() {
        try (SparseModel dense = model();
                SparseModel sparse =
                        dense.withPolicy(SparsityPolicy.of(Wina.of(0.5f).unrotated()), Map.of())) {
            QualityRun run = new QualityRun(WINDOWS, 2);
            QualityRun.Scores reference = run.score(dense);
            QualityRun.Scores scores = run.score(sparse);
            assertThat(reference.divergences(reference)).containsOnly(0);
            assertThat(scores.divergences(reference)).isSorted();
            assertThat(scores.divergences(reference)[0]).isPositive();
            assertThat(scores.sparsity()).isBetween(0.2, 0.5);
        }
    }

    @Test
    void aPercentileIsOneOfTheValues() {
        double[] sorted = {1, 2, 3, 4};
        assertThat(QualityRun.percentile(sorted, 0.5)).isEqualTo(3);
        assertThat(QualityRun.percentile(sorted, 0.95)).isEqualTo(4);
    }

    private static SparseModel model() {
        return SparseModel.of(
                ModelShape.TINY.config(),
                new RandomWeights(ModelShape.TINY.tensors(DType.F32), 5),
                SparsityPolicy.dense(),
                ModelOptions.defaults().withThreads(1).withWarmUp(false),
                Backends.discover());
    }
}
