package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ShardsTest {

    private static final String FIRST = "model-00001-of-00002.safetensors";
    private static final String SECOND = "model-00002-of-00002.safetensors";

    @TempDir
    Path folder;

    @BeforeEach
    void writeShards() throws IOException {
        Files.write(
                folder.resolve(FIRST),
                RawFile.of(
                        "{\"__metadata__\":{\"format\":\"pt\",\"part\":\"1\"},"
                                + "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
                        4));
        Files.write(
                folder.resolve(SECOND),
                RawFile.of(
                        "{\"__metadata__\":{\"format\":\"pt\",\"part\":\"2\"},"
                                + "\"c\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]},"
                                + "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                        3));
        index("\"b\":\"" + SECOND + "\",\"c\":\"" + SECOND + "\",\"a\":\"" + FIRST + "\"");
    }

    private void index(String weightMap) throws IOException {
        indexText("{\"metadata\": {\"total_size\": 7.0},\n \"weight_map\": {" + weightMap + "}}\n");
    }

    private void indexText(String json) throws IOException {
        Files.writeString(folder.resolve("model.safetensors.index.json"), json);
    }

    private void refused(String... sentences) {
        assertThatThrownBy(() -> SafeTensors.open(folder).close())
                .isInstanceOf(ArtefactException.class)
                .hasMessageStartingWith(folder.toString())
                .hasMessageContainingAll(sentences);
    }

    @Test
    void shardsAreReadAsOneSource() {
        try (SafeTensors tensors = SafeTensors.open(folder);
                Arena arena = Arena.ofConfined()) {
            assertThat(tensors.names()).containsExactly("a", "b", "c");
            assertThat(tensors.load("c", arena).toFloats()).containsExactly(1, 2);
            assertThat(tensors.load("a", arena).toFloats()).containsExactly(0, 1, 2, 3);
            assertThat(tensors.metadata()).containsOnlyKeys("format");
        }
    }

    @Test
    void aSingleFileIsPreferredToTheIndex() throws IOException {
        Files.write(folder.resolve("model.safetensors"), RawFile.of("{}", 0));
        try (SafeTensors tensors = SafeTensors.open(folder)) {
            assertThat(tensors.names()).isEmpty();
        }
    }

    @Test
    void aMissingShardIsRefused() throws IOException {
        Files.delete(folder.resolve(SECOND));
        refused(SECOND + ": this shard is missing, but ", "index.json lists it");
    }

    @Test
    void aFolderInPlaceOfAShardIsRefused() throws IOException {
        Files.delete(folder.resolve(SECOND));
        Files.createDirectory(folder.resolve(SECOND));
        refused(SECOND + ": this is a folder, not a file");
    }

    @Test
    void aDamagedShardIsRefusedWithItsName() throws IOException {
        Files.write(folder.resolve(SECOND), new byte[3]);
        refused(SECOND + ": truncated");
    }

    @Test
    void aTensorThatTheIndexDoesNotListIsRefused() throws IOException {
        index("\"a\":\"" + FIRST + "\",\"c\":\"" + SECOND + "\"");
        refused(SECOND + ": tensor 'b' lies here, but ", "does not list it");
    }

    @Test
    void aTensorThatItsShardDoesNotHoldIsRefused() throws IOException {
        index("\"a\":\"" + FIRST + "\",\"b\":\"" + SECOND + "\",\"c\":\"" + SECOND + "\",\"d\":\"" + FIRST + "\"");
        refused(FIRST + ": tensor 'd' is missing, but ", "says it lies here");
    }

    @Test
    void aTensorInAnotherShardThanTheIndexSaysIsRefused() throws IOException {
        index("\"a\":\"" + FIRST + "\",\"b\":\"" + FIRST + "\",\"c\":\"" + SECOND + "\"");
        refused(SECOND + ": tensor 'b' lies here, but ", "says it lies in " + FIRST);
    }

    @Test
    void aTensorInTwoShardsIsRefused() throws IOException {
        Files.copy(folder.resolve(FIRST), folder.resolve("model-00003-of-00003.safetensors"));
        index("\"a\":\"" + FIRST + "\",\"b\":\"" + SECOND + "\",\"c\":\"" + SECOND
                + "\",\"d\":\"model-00003-of-00003.safetensors\"");
        refused("model-00003-of-00003.safetensors: tensor 'a' lies here, but ", "says it lies in " + FIRST);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../model.safetensors",
                "/etc/model.safetensors",
                "sub/model.safetensors",
                "..\\\\model.safetensors",
                "C:model.safetensors",
                "..safetensors",
                ".safetensors",
                ".",
                "",
                "model.bin",
                "a\\u0000.safetensors",
                "ü.safetensors"
            })
    void pathTraversalInShardNamesIsRefused(String shard) throws IOException {
        index("\"a\":\"" + shard + "\"");
        refused("tensor 'a' is said to lie in ", "without any path");
    }

    @Test
    void aDamagedIndexIsRefused() throws IOException {
        indexText("");
        refused("index is not JSON");
        indexText("{}");
        refused("weight_map is missing or empty");
        indexText("{\"weight_map\":{}}");
        refused("weight_map is missing or empty");
        indexText("{\"weight_map\":{\"a\":\"x.safetensors\",\"a\":\"y.safetensors\"}}");
        refused("the name 'a' occurs twice in weight_map");
        indexText("{\"weight_map\":{\"a\":1}}");
        refused("must be a string");
    }

    @Test
    void deepNestingIsRefusedBeforeItOverflowsTheStack() throws IOException {
        indexText("{\"metadata\":" + "[".repeat(1_000_000));
        refused("index is not JSON: Nesting limit 16 reached");
    }

    @Test
    void theFingerprintDoesNotDependOnTheShards() {
        String sharded;
        Path single = folder.resolve("single.safetensors");
        try (SafeTensors tensors = SafeTensors.open(folder);
                Arena arena = Arena.ofConfined()) {
            sharded = tensors.fingerprint();
            Map<String, Tensor> all = new LinkedHashMap<>();
            tensors.names().forEach(name -> all.put(name, tensors.load(name, arena)));
            SafeTensorsWriter.write(single, all, Map.of("format", "other"));
        }
        try (SafeTensors tensors = SafeTensors.open(single)) {
            assertThat(tensors.fingerprint()).isEqualTo(sharded);
        }
    }
}
