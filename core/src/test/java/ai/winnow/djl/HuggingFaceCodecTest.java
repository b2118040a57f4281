package ai.winnow.djl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.engine.Engine;
import ai.winnow.ArtefactException;
import com.google.gson.Gson;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.LoggerFactory;

class HuggingFaceCodecTest {

    private static final HuggingFaceCodec BABY = HuggingFaceCodec.open(BabyLlama.folder());
    private static final Path STORIES = Path.of("../../shared/models/stories260K/tok512.bin");
    private static final Path TEXT = Path.of("../../shared/data/tinystories/tinystories_val_decoded.txt");

    @Test
    void aStoryIsItsCharactersAfterTheTokenThatBeginsIt() {
        int[] tokens = BABY.encode(BabyLlama.STORY);
        // The token that begins a text, and the space before its first word.
        assertThat(tokens).hasSize(BabyLlama.STORY.length() + 2).startsWith(1, 259);
        assertThat(Arrays.stream(tokens).filter(token -> token == 3 + '\n').count())
                .isEqualTo(1);
        assertThat(BABY.decode(tokens)).isEqualTo(BabyLlama.STORY);
    }

    @Test
    void everyByteHasATokenAndEveryLengthOfCharacterGoesThroughThem() {
        assertBytes(BABY);
        assertThat(BABY.vocabSize()).isEqualTo(361);
        assertThat(IntStream.range(0, 361).filter(BABY::isSpecial)).containsExactly(0, 1, 2);
    }

    private static void assertBytes(HuggingFaceCodec codec) {
        for (int value = 0; value < 256; value++) {
            String text = codec.decode(new int[] {3 + value});
            assertThat(text)
                    .as("byte %d", value)
                    .isEqualTo(value < 128 && value != ' ' ? "" + (char) value : value == ' ' ? "" : "\uFFFD");
        }
        for (int point : new int[] {0, 1, 9, 10, 127, 128, 0x7FF, 0x800, 0xFFFD, 0xFFFF, 0x10000, 0x10FFFF}) {
            String text = "a" + Character.toString(point) + "b";
            assertThat(codec.decode(codec.encode(text))).as("U+%X", point).isEqualTo(text);
        }
    }

    /** Any characters but half ones, and the one that stands for a space. */
    @Provide
    Arbitrary<String> texts() {
        return Arbitraries.strings()
                .withChars("aZ \n\t<>/sé…“")
                .withCharRange('\0', '\uD7FF')
                .withCharRange('\uE000', '\uFFFF')
                .ofMaxLength(60)
                .filter(text -> text.indexOf('▁') < 0
                        && !text.contains("<s>")
                        && !text.contains("</s>")
                        && !text.contains("<unk>"));
    }

    @Property(tries = 300)
    void decodeUndoesEncode(@ForAll("texts") String text) {
        assertThat(BABY.decode(BABY.encode(text))).isEqualTo(text);
    }

    @Test
    void longTextsAreNotCut() {
        assertThat(BABY.encode("word ".repeat(2_000))).hasSize(10_002);
    }

    @Test
    void storiesVocabularyEncodesLikeItsDefinition(@TempDir Path folder) throws Exception {
        Assumptions.assumeTrue(Files.exists(STORIES) && Files.exists(TEXT), "needs ../shared beside the checkout");
        StoriesTokenizer definition = new StoriesTokenizer(STORIES);
        definition.write(folder);
        try (HuggingFaceCodec codec = HuggingFaceCodec.open(folder)) {
            assertThat(codec.vocabSize()).isEqualTo(512);
            assertBytes(codec);
            String text = Files.readString(TEXT);
            List<String> samples = new ArrayList<>(List.of(BabyLlama.STORY, "", " two  spaces ", "中文 café"));
            for (int i = 0; i < 40; i++) {
                samples.add(text.substring(300 * i, 300 * i + 300).replace("<|endoftext|>", ""));
            }
            for (String sample : samples) {
                assertThat(codec.decode(codec.encode(sample))).isEqualTo(sample);
                if (!sample.isEmpty()) {
                    assertThat(Arrays.stream(codec.encode(sample)).boxed().toList())
                            .isEqualTo(definition.encode(sample));
                }
            }
        }
    }

    @Test
    void halfACharacterIsNoError() {
        assertThat(BABY.decode(BABY.encode("a\uD83D b"))).startsWith("a").endsWith(" b");
    }

    @Test
    void aClosedCodecSaysSo() {
        HuggingFaceCodec codec = HuggingFaceCodec.open(BabyLlama.folder());
        codec.close();
        codec.close();
        assertThatThrownBy(() -> codec.encode("a")).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void aMissingOrDamagedFileIsNamed(@TempDir Path folder) throws Exception {
        assertThatThrownBy(() -> HuggingFaceCodec.open(folder))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("tokenizer.json");
        for (String damaged :
                List.of("", "[]", "{\"model\": 3}", "{\"added_tokens\": [{\"id\": \"x\"}]}", "{\"model\":")) {
            Files.writeString(folder.resolve("tokenizer.json"), damaged);
            assertThatThrownBy(() -> HuggingFaceCodec.open(folder))
                    .as(damaged)
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("tokenizer.json");
        }
    }

    @Test
    void withoutDjlsTokenizersTheDependencyIsNamed() throws Exception {
        List<URL> urls = new ArrayList<>();
        for (Class<?> needed :
                List.of(HuggingFaceCodec.class, Engine.class, Gson.class, LoggerFactory.class, NullMarked.class)) {
            urls.add(needed.getProtectionDomain().getCodeSource().getLocation());
        }
        // The platform's loader would find the tokenizers: it knows all modules.
        try (URLClassLoader loader = new URLClassLoader(urls.toArray(URL[]::new), null)) {
            Class<?> codec = Class.forName(HuggingFaceCodec.class.getName(), true, loader);
            Method open = codec.getMethod("open", Path.class);
            assertThatThrownBy(() -> open.invoke(null, BabyLlama.folder()))
                    .isInstanceOf(InvocationTargetException.class)
                    .cause()
                    .hasMessageContaining("ai.djl.huggingface:tokenizers");
        }
    }
}
