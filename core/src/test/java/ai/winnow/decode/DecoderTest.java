package ai.winnow.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.BackendException;
import ai.winnow.OverloadedException;
import ai.winnow.djl.BabyLlama;
import ai.winnow.djl.HuggingFaceCodec;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Continuous batching, step by step on the test's own thread and clock. */
class DecoderTest {

    private static final SparseModel MODEL =
            SparseModel.load(BabyLlama.folder(), SparsityPolicy.dense(), BabyLlama.options());
    private static final HuggingFaceCodec CODEC = HuggingFaceCodec.open(BabyLlama.folder());
    private static final GenerationOptions SHORT = GenerationOptions.defaults().withMaxNewTokens(20);
    private static final String PROMPT = "Once upon a time";

    private final AtomicLong clock = new AtomicLong();
    private final List<Decoder> open = new ArrayList<>();

    private Decoder decoder(DecoderOptions options) {
        Decoder decoder = new Decoder(MODEL, CODEC, options, clock::get, false);
        open.add(decoder);
        return decoder;
    }

    private Decoder decoder() {
        return decoder(DecoderOptions.defaults());
    }

    @AfterEach
    void closeDecoders() {
        open.forEach(Decoder::close);
    }

    @AfterAll
    static void close() {
        CODEC.close();
        MODEL.close();
    }

    private static void finish(Decoder decoder) {
        for (int rounds = 0; decoder.running() + decoder.waiting() > 0; rounds++) {
            assertThat(rounds).as("rounds").isLessThan(2_000);
            decoder.round();
        }
    }

    private String alone(String prompt, GenerationOptions options) {
        Decoder decoder = decoder();
        TextStream stream = decoder.submit(prompt, options);
        finish(decoder);
        return stream.text();
    }

    /** Greedy, with nothing of the decoder: one session, one sequence, the whole text decoded at the end. */
    private static String naive(String prompt, int tokens) {
        try (Session session = MODEL.newSession()) {
            SequenceId sequence = session.open();
            int[] all = CODEC.encode(prompt);
            int next = session.run(Phase.PREFILL, Batch.of(sequence, all)).argMax(0);
            for (int i = 0; i < tokens; i++) {
                all = Arrays.copyOf(all, all.length + 1);
                all[all.length - 1] = next;
                next = session.run(Phase.DECODE, Batch.of(sequence, next)).argMax(0);
            }
            return CODEC.decode(all).substring(prompt.length());
        }
    }

    @Test
    void greedyTextIsThatOfALoopOverASession() {
        assertThat(alone(PROMPT, SHORT.withMaxNewTokens(60))).isEqualTo(naive(PROMPT, 60));
        assertThat(alone(BabyLlama.STORY.substring(0, 80), SHORT))
                .isEqualTo(naive(BabyLlama.STORY.substring(0, 80), 20));
    }

    @Test
    void aBatchGivesWhatEachPromptGivesAlone() {
        List<String> prompts = List.of(PROMPT, "Tom", BabyLlama.STORY.substring(0, 100), "The cat", "Lily said");
        GenerationOptions sampled = SHORT.withTemperature(0.8f).withTopP(0.95f).withSeed(11L);
        for (GenerationOptions options : List.of(SHORT, sampled)) {
            Decoder decoder = decoder(DecoderOptions.defaults().withPrefillTokens(7));
            List<TextStream> streams = new ArrayList<>();
            for (String prompt : prompts) {
                streams.add(decoder.submit(prompt, options));
                decoder.round();
            }
            finish(decoder);
            for (int i = 0; i < prompts.size(); i++) {
                assertThat(streams.get(i).text()).isEqualTo(alone(prompts.get(i), options));
            }
        }
    }

    @Test
    void theSeedDecidesTheText() {
        GenerationOptions sampled = SHORT.withTemperature(1).withSeed(1L);
        assertThat(alone(PROMPT, sampled)).isEqualTo(alone(PROMPT, sampled));
        assertThat(alone(PROMPT, sampled.withSeed(2L))).isNotEqualTo(alone(PROMPT, sampled));
    }

    @Test
    void piecesAreTheTextAndNothingOfAStopString() {
        String text = naive(PROMPT, 60);
        String stop = text.substring(30, 36);
        Decoder decoder = decoder();
        TextStream stream = decoder.submit(PROMPT, SHORT.withMaxNewTokens(60).withStopStrings("@@", stop));
        finish(decoder);
        StringBuilder pieces = new StringBuilder();
        stream.forEach(pieces::append);
        assertThat(pieces).hasToString(text.substring(0, text.indexOf(stop)));
        assertThat(stream.join().reason()).isEqualTo(FinishReason.STOP_STRING);
        assertThat(stream.text()).isEqualTo(pieces.toString());
    }

    @Test
    void aStopTokenEndsTheTextAndIsNotPartOfIt() {
        int comma = CODEC.encode(",")[2];
        Decoder decoder = decoder();
        TextStream stream = decoder.submit("One day", SHORT.withStopTokens(java.util.Set.of(comma)));
        finish(decoder);
        Generation generation = stream.join();
        assertThat(generation.reason()).isEqualTo(FinishReason.STOP_TOKEN);
        assertThat(generation.text()).doesNotContain(",");
        assertThat(generation.tokens()).endsWith(comma);
    }

    @Test
    void aLongPromptDoesNotStarveRunningSequences() {
        Decoder decoder = decoder(DecoderOptions.defaults().withPrefillTokens(8));
        TextStream running = decoder.submit(PROMPT, SHORT);
        while (running.generatedTokens() == 0) {
            decoder.round();
        }
        TextStream late = decoder.submit(BabyLlama.STORY.substring(0, 100), SHORT);
        for (int i = 2; i < 12; i++) {
            decoder.round();
            assertThat(running.generatedTokens()).isEqualTo(i);
            assertThat(late.generatedTokens()).isZero();
        }
        finish(decoder);
        assertThat(late.generatedTokens()).isEqualTo(20);
    }

    @Test
    void cancellingFreesSlotAndPagesAndLeavesTheOthersAlone() {
        Decoder decoder = decoder();
        int pages = decoder.session().freePages();
        TextStream kept = decoder.submit(PROMPT, SHORT);
        List<TextStream> cancelled = List.of(decoder.submit("Tom", SHORT), decoder.submit("Max", SHORT));
        TextStream waiting = decoder.submit("The dog", SHORT);
        TextStream never = decoder.submit("A cat", SHORT);
        for (int i = 0; i < 4; i++) {
            decoder.round();
        }
        assertThat(decoder.running()).isEqualTo(3);
        cancelled.forEach(TextStream::cancel);
        never.close();
        decoder.round();
        assertThat(decoder.running()).isEqualTo(2);
        assertThat(decoder.waiting()).isZero();
        finish(decoder);
        assertThat(kept.text()).isEqualTo(alone(PROMPT, SHORT));
        assertThat(waiting.text()).isEqualTo(alone("The dog", SHORT));
        assertThat(cancelled.getFirst().join().reason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(cancelled.getFirst().generatedTokens()).isBetween(1, 5);
        assertThat(never.generatedTokens()).isZero();
        assertThat(decoder.session().freePages()).isEqualTo(pages);
    }

    @Test
    void aDeadlineEndsOneRequestWithWhatItHas() {
        Decoder decoder = decoder();
        TextStream limited = decoder.submit(PROMPT, SHORT.withDeadline(Duration.ofSeconds(2)));
        TextStream free = decoder.submit(PROMPT, SHORT);
        clock.addAndGet(Duration.ofMillis(1500).toNanos());
        while (limited.generatedTokens() < 4) {
            decoder.round();
        }
        assertThat(limited.finishReason()).isEmpty();
        clock.addAndGet(Duration.ofMillis(500).toNanos());
        finish(decoder);
        Generation generation = limited.join();
        assertThat(generation.reason()).isEqualTo(FinishReason.DEADLINE);
        assertThat(generation.tokens()).hasSize(4);
        assertThat(generation.time()).isEqualTo(Duration.ofSeconds(2));
        assertThat(generation.timeToFirstToken()).contains(Duration.ofMillis(1500));
        assertThat(generation.promptTokens()).isEqualTo(PROMPT.length() + 2);
        assertThat(free.text()).startsWith(generation.text()).hasSize(20);
    }

    @Test
    void aDeadlineAlsoCountsWhileWaiting() {
        Decoder decoder = decoder();
        for (int i = 0; i < 3; i++) {
            decoder.submit(PROMPT, SHORT);
        }
        TextStream waiting = decoder.submit(PROMPT, SHORT.withDeadline(Duration.ofNanos(5)));
        decoder.round();
        clock.set(5);
        decoder.round();
        assertThat(waiting.join().reason()).isEqualTo(FinishReason.DEADLINE);
        assertThat(waiting.text()).isEmpty();
    }

    @Test
    void theQueueIsBounded() {
        Decoder decoder = decoder(DecoderOptions.defaults().withQueueCapacity(2));
        decoder.submit("A", SHORT);
        decoder.submit("B", SHORT);
        assertThatThrownBy(() -> decoder.submit("C", SHORT))
                .isInstanceOf(OverloadedException.class)
                .hasMessageContaining("queueCapacity");
        decoder.round();
        decoder.submit("C", SHORT);
    }

    @Test
    void requestsWaitForPagesTheyMayNeedAndNobodyRunsOut() {
        // Pages for two requests of up to 64 positions, or one of up to 128.
        long page = 2L * 64 * 16 * 4;
        long heads = 5 * 4;
        try (SparseModel small = SparseModel.load(
                BabyLlama.folder(), SparsityPolicy.dense(), BabyLlama.options().withKvBytes(2 * heads * page))) {
            Decoder decoder = new Decoder(small, CODEC, DecoderOptions.defaults(), clock::get, false);
            open.add(decoder);
            TextStream large = decoder.submit(PROMPT, SHORT.withMaxNewTokens(100));
            TextStream second = decoder.submit("Tom", SHORT);
            TextStream third = decoder.submit("Max", SHORT);
            decoder.round();
            assertThat(decoder.running()).isEqualTo(1);
            while (large.finishReason().isEmpty()) {
                decoder.round();
            }
            decoder.round();
            assertThat(decoder.running()).isEqualTo(2);
            finish(decoder);
            assertThat(large.text()).isEqualTo(naive(PROMPT, 100));
            assertThat(List.of(second.text(), third.text())).isEqualTo(List.of(naive("Tom", 20), naive("Max", 20)));
            assertThatThrownBy(() -> decoder.submit(PROMPT, SHORT.withMaxNewTokens(140)))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("kvBytes");
            decoder.close();
            open.remove(decoder);
        }
    }

    @Test
    void aFailingSequenceFailsAlone() {
        int culprit = CODEC.encode("#")[2];
        Decoder decoder = decoder();
        decoder.session().observe((node, operands) -> {
            if (node.site().role() == Role.TOKEN_EMBED && holds(operands, culprit)) {
                throw new BackendException("token " + culprit + " hurts");
            }
        });
        TextStream one = decoder.submit(PROMPT, SHORT);
        TextStream bad = decoder.submit("The # dog", SHORT);
        TextStream other = decoder.submit("Tom", SHORT);
        finish(decoder);
        assertThat(one.text()).isEqualTo(alone(PROMPT, SHORT));
        assertThat(other.text()).isEqualTo(alone("Tom", SHORT));
        assertThat(bad.finishReason()).contains(FinishReason.FAILED);
        assertThatThrownBy(bad::text)
                .isInstanceOf(BackendException.class)
                .hasMessageContaining("hurts")
                .hasCauseInstanceOf(BackendException.class);
        assertThatThrownBy(() -> bad.iterator().hasNext()).isInstanceOf(BackendException.class);
    }

    private static boolean holds(Operands operands, int token) {
        for (int i = 0; i < operands.inputCount(); i++) {
            if (operands.input(i).dtype() == DType.I32) {
                for (int row = 0; row < operands.inRows(i); row++) {
                    if (operands.in(i).getAtIndex(ValueLayout.JAVA_INT, row) == token) {
                        return true;
                    }
                }
            }
        }
        return false;
    }

    @Test
    void theContextIsTheEnd() {
        String prompt = "a".repeat(150);
        assertThat(alone(prompt, SHORT)).hasSize(160 - 152);
        Decoder decoder = decoder();
        assertThatThrownBy(() -> decoder.submit("a".repeat(158), SHORT))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("160 tokens; the context holds 160");
        assertThatThrownBy(() -> decoder.submit(new int[0], SHORT)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> decoder.submit(new int[] {361}, SHORT))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("token 361");
    }

    @Test
    void closingCancelsWhatRunsAndWaits() {
        Decoder decoder = decoder();
        List<TextStream> streams = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            streams.add(decoder.submit(PROMPT, SHORT));
        }
        decoder.round();
        decoder.close();
        open.remove(decoder);
        assertThat(streams)
                .allSatisfy(stream -> assertThat(stream.finishReason()).contains(FinishReason.CANCELLED));
        assertThatThrownBy(() -> decoder.submit(PROMPT, SHORT))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
    }
}
