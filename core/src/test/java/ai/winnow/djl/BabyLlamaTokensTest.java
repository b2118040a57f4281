package ai.winnow.djl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ir.Phase;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.Logits;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** The model itself says whether its tokenizer is the right one: a text is likely only in the spelling it was trained on. */
class BabyLlamaTokensTest {

    private static final Path STORIES = Path.of("../../shared/data/tinystories/tinystories_val_decoded.txt");

    private static final HuggingFaceCodec CODEC = HuggingFaceCodec.open(BabyLlama.folder());
    private static final SparseModel MODEL = SparseModel.load(
            BabyLlama.folder(), SparsityPolicy.dense(), BabyLlama.options().withContextLength(256));

    @AfterAll
    static void close() {
        CODEC.close();
        MODEL.close();
    }

    @Test
    void aStoryIsLikelyAndItsSpacesAreNotBytes() {
        int[] tokens = CODEC.encode(BabyLlama.STORY);
        assertThat(perplexity(List.of(tokens))).isLessThan(2);
        int[] otherSpaces = Arrays.stream(tokens)
                .map(token -> token == 259 ? 3 + ' ' : token)
                .toArray();
        assertThat(perplexity(List.of(otherSpaces))).isGreaterThan(4);
    }

    @Test
    void theValidationSetIsAsLikelyAsItsSourceSays() throws IOException {
        Assumptions.assumeTrue(Files.exists(STORIES), "needs ../shared beside the checkout");
        List<int[]> windows = Arrays.stream(Files.readString(STORIES).split("<\\|endoftext\\|>", -1))
                .skip(1)
                .map(story -> CODEC.encode(story.strip()))
                .filter(tokens -> tokens.length >= 256)
                .limit(10)
                .map(tokens -> Arrays.copyOf(tokens, 256))
                .toList();
        // SOURCE.txt: 2.165 on 2,550 tokens.
        double found = perplexity(windows);
        assertThat(windows.stream().mapToInt(window -> window.length - 1).sum()).isEqualTo(2_550);
        assertThat(found).isCloseTo(2.165, within(0.005));
    }

    private static double perplexity(List<int[]> windows) {
        double nats = 0;
        long count = 0;
        try (Session session = MODEL.newSession()) {
            for (int[] tokens : windows) {
                SequenceId sequence = session.open();
                for (int i = 0; i + 1 < tokens.length; i++, count++) {
                    Logits logits = session.run(Phase.DECODE, Batch.of(sequence, tokens[i]));
                    double sum = 0;
                    for (float logit : logits.copyOf(0)) {
                        sum += Math.exp(logit);
                    }
                    nats += Math.log(sum) - logits.get(0, tokens[i + 1]);
                }
                session.close(sequence);
            }
        }
        return Math.exp(nats / count);
    }
}
