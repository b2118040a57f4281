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
import ai.winnow.tensor.DType;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** A comparison of speeds is worth something only if both sides compute the same. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64") // the platform of the native jar that the build takes
class LibtorchLlamaTest {

    private static final ModelShape SHAPE = ModelShape.TINY;

    @Test
    void logitsEqualOursInPrefillAndDecode() {
        int[] prompt = {3, 50, 7, 7, 91, 0, 12};
        int[] next = {42, 5, 95};
        ModelOptions options = ModelOptions.defaults().withThreads(1).withWarmUp(false);
        try (LibtorchLlama libtorch = new LibtorchLlama(SHAPE.config(), weights(), 1, SHAPE.maxPositions());
                SparseModel ours = SparseModel.of(
                        SHAPE.config(), weights(), SparsityPolicy.dense(), options, Backends.of(List.of()));
                Session session = ours.newSession()) {
            SequenceId sequence = session.open();
            assertClose(
                    libtorch.run(prompt),
                    session.run(Phase.PREFILL, Batch.of(sequence, prompt)).copyOf(0));
            for (int token : next) {
                assertClose(
                        libtorch.run(token),
                        session.run(Phase.DECODE, Batch.of(sequence, token)).copyOf(0));
            }
        }
    }

    @Test
    void aPromptInTwoPiecesEqualsThePromptInOne() {
        int[] prompt = {3, 50, 7, 7, 91, 0, 12};
        try (LibtorchLlama libtorch = new LibtorchLlama(SHAPE.config(), weights(), 2, SHAPE.maxPositions())) {
            float[] whole = libtorch.run(prompt);
            libtorch.reset();
            libtorch.run(Arrays.copyOf(prompt, 4));
            assertClose(libtorch.run(Arrays.copyOfRange(prompt, 4, 7)), whole);
        }
    }

    private static RandomWeights weights() {
        return new RandomWeights(SHAPE.tensors(DType.F32), 7);
    }

    private static void assertClose(float[] actual, float[] expected) {
        assertThat(actual).hasSize(SHAPE.vocabSize()).containsExactly(expected, within(1e-5f));
        assertThat(expected).as("the logits differ from each other").doesNotContain(0f);
    }
}
