package ai.winnow.decode;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.djl.BabyLlama;
import ai.winnow.djl.HuggingFaceCodec;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

/** Text as it comes, with a tokenizer that falls back on bytes and hides its first space. */
class IncrementalTextTest {

    private static final HuggingFaceCodec CODEC = HuggingFaceCodec.open(BabyLlama.folder());
    private static final String MIXED = "An old man’s café… 中文 and 😀😀 end. é";

    @AfterAll
    static void close() {
        CODEC.close();
    }

    @Test
    void theTextIsThatOfAllTokensAtOnceWhereverThePromptEnds() {
        int[] tokens = CODEC.encode(MIXED);
        for (int cut = 0; cut <= tokens.length; cut++) {
            int[] prompt = Arrays.copyOf(tokens, cut);
            IncrementalText text = new IncrementalText(CODEC, prompt);
            StringBuilder out = new StringBuilder();
            for (int i = cut; i < tokens.length; i++) {
                String piece = text.append(tokens[i]);
                if (cut < 2) {
                    assertThat(piece).doesNotContain("\uFFFD");
                }
                out.append(piece);
            }
            out.append(text.finish());
            String before = CODEC.decode(prompt);
            if (!before.endsWith("\uFFFD")) {
                assertThat(before + out).as("prompt of %d tokens", cut).isEqualTo(MIXED);
            }
        }
    }

    @Test
    void aSpaceAfterThePromptIsNotLost() {
        int[] prompt = CODEC.encode("Once upon");
        int[] all = CODEC.encode("Once upon a");
        IncrementalText text = new IncrementalText(CODEC, prompt);
        assertThat(text.append(all[prompt.length])).isEqualTo(" ");
        assertThat(text.append(all[prompt.length + 1])).isEqualTo("a");
    }

    @Test
    void halfACharacterIsHeldBackAndShownOnlyAtTheEnd() {
        IncrementalText text = new IncrementalText(CODEC, CODEC.encode("a"));
        assertThat(text.append(3 + 0xF0)).isEmpty();
        assertThat(text.append(3 + 0x9F)).isEmpty();
        assertThat(text.append(3 + 0x98)).isEmpty();
        assertThat(text.append(3 + 0x80)).isEqualTo("😀");
        assertThat(text.append(3 + 0xE4)).isEmpty();
        assertThat(text.finish()).isEqualTo("\uFFFD");
    }

    @Test
    void bytesThatNeverBecomeTextAreNotHeldForever() {
        IncrementalText text = new IncrementalText(CODEC, CODEC.encode("a"));
        int held = 0;
        for (int i = 0; i < 1_000; i++) {
            held = text.append(3 + 0x80).isEmpty() ? held + 1 : 0;
            assertThat(held).isLessThan(4);
        }
    }

    @Test
    void specialTokensHaveNoText() {
        IncrementalText text = new IncrementalText(CODEC, new int[] {1});
        int[] word = CODEC.encode("hi there");
        StringBuilder out = new StringBuilder();
        for (int token : word) {
            out.append(text.append(token)).append(text.append(2));
        }
        assertThat(out.append(text.finish())).hasToString("hi there");
    }

    @Test
    void anyTokensComeOutAsWholeCharacters() {
        for (int seed = 0; seed < 300; seed++) {
            Random random = new Random(seed);
            IncrementalText text = new IncrementalText(CODEC, new int[] {1});
            StringBuilder out = new StringBuilder();
            for (int i = 0; i < 40; i++) {
                String piece = text.append(random.nextInt(CODEC.vocabSize()));
                out.append(piece);
                if (!piece.isEmpty()) {
                    assertThat(Character.isHighSurrogate(piece.charAt(piece.length() - 1)))
                            .as("seed %d", seed)
                            .isFalse();
                }
            }
            assertThat(out.append(text.finish())).as("seed %d", seed).isNotEmpty();
        }
    }
}
