package ai.winnow.architecture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.UnsupportedModelException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ModelConfigTest {

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "3",
                "{",
                "{\"a\": 1,}",
                "{a: 1}",
                "{'a': 1}",
                "{\"a\": NaN}",
                "{\"a\": Infinity}",
                "{\"a\": 1e999}",
                "{\"a\": 01}",
                "{\"a\": 1} {}",
                "{\"a\": 1, \"a\": 2}",
                "{\"a\": {\"b\": 1, \"b\": 2}}",
                "{\"a\": 1} // comment"
            })
    void whatIsNotOneStrictObjectIsRefused(String json) {
        assertThatThrownBy(() -> ModelConfig.parse(json))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("config.json");
    }

    @Test
    void deepNestingLongNumbersAndLongFilesAreRefused() {
        assertThatThrownBy(() -> ModelConfig.parse("{\"a\": " + "[".repeat(5000) + "]".repeat(5000) + "}"))
                .isInstanceOf(ArtefactException.class);
        assertThatThrownBy(() -> ModelConfig.parse("{\"a\": " + "1".repeat(100_000) + "}"))
                .isInstanceOf(ArtefactException.class);
        assertThatThrownBy(() -> ModelConfig.parse(" ".repeat(ModelConfig.MAX_BYTES) + "{}"))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("4194304");
    }

    @Test
    void anErrorNamesFileFieldExpectedAndFound() {
        ModelConfig config = ModelConfig.parse("{\"size\": \"big\", \"inner\": {\"rate\": -1}}");
        assertThatThrownBy(() -> config.integer("size", 1, 9))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessage("config.json: field 'size': expected a whole number from 1 to 9, found \"big\"");
        assertThatThrownBy(() -> config.integer("none", 1, 9)).hasMessageEndingWith("found nothing");
        assertThatThrownBy(() -> config.object("inner").orElseThrow().positive("rate"))
                .hasMessage("config.json: inner: field 'rate': expected a number greater than 0, found -1");
        assertThatThrownBy(() -> config.flag("size", true)).hasMessageContaining("true or false");
        assertThatThrownBy(() -> config.texts("inner")).hasMessageContaining("texts");
        assertThatThrownBy(() -> config.object("size")).hasMessageContaining("an object");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "10", "4.0", "4e0", "true", "\"4\"", "null", "[4]", "99999999999999999999"})
    void onlyWholeNumbersInRangeAreIntegers(String json) {
        ModelConfig config = ModelConfig.parse("{\"size\": " + json + "}");
        assertThatThrownBy(() -> config.integer("size", 1, 9)).isInstanceOf(UnsupportedModelException.class);
    }

    @Test
    void aLongValueIsClippedInTheMessage() {
        ModelConfig config = ModelConfig.parse("{\"size\": \"" + "x".repeat(100_000) + "\"}");
        assertThatThrownBy(() -> config.integer("size", 1, 9))
                .satisfies(e -> assertThat(String.valueOf(e.getMessage())).hasSizeLessThan(300));
    }

    @Test
    void tokensOfTheGenerationConfigurationComeFirst(@TempDir Path folder) throws IOException {
        Files.writeString(folder.resolve("config.json"), "{\"bos_token_id\": 1, \"eos_token_id\": 2}");
        assertThat(ModelConfig.read(folder).integers("eos_token_id", 0, 9)).containsExactly(2);
        Files.writeString(
                folder.resolve("generation_config.json"), "{\"bos_token_id\": null, \"eos_token_id\": [3, 4]}");
        assertThat(ModelConfig.read(folder).integers("eos_token_id", 0, 9)).isEqualTo(List.of(3, 4));
        assertThat(ModelConfig.read(folder).integers("bos_token_id", 0, 9)).containsExactly(1);
        Files.writeString(folder.resolve("generation_config.json"), "{\"eos_token_id\": \"</s>\"}");
        assertThatThrownBy(() -> ModelConfig.read(folder))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("generation_config.json")
                .hasMessageContaining("</s>");
    }

    @Test
    void aFileThatIsMissingOrNotTextIsNamed(@TempDir Path folder) throws IOException {
        assertThatThrownBy(() -> ModelConfig.read(folder))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining(folder.resolve("config.json").toString());
        Files.write(folder.resolve("config.json"), "{\"a\": \"é\"}".getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(() -> ModelConfig.read(folder))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("UTF-8");
    }
}
