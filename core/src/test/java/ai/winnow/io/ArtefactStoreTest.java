package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ArtefactStoreTest {

    @TempDir
    Path temporary;

    private Path folder;

    @BeforeEach
    void chooseAFolder() {
        folder = temporary.resolve("deep").resolve("teal");
    }

    static Artefact artefact(float first) {
        Arena arena = Arena.ofAuto();
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        tensors.put("thresholds", Tensor.copyOf(arena, new float[] {first, 2}, 2));
        tensors.put("counts", Tensor.copyOf(arena, new int[] {3}, 1, 1));
        Map<String, String> parameters = Map.of("samples", "64", "text", "ü \"quoted\"\n");
        return new Artefact(
                "teal",
                new TreeMap<>(parameters),
                "9f3c000000000000",
                "77ab000000000000",
                Instant.parse("2026-01-31T12:00:00.123456789Z"),
                tensors);
    }

    private void refused(String... sentences) {
        assertThatThrownBy(() -> ArtefactStore.load(folder))
                .isInstanceOf(ArtefactException.class)
                .hasMessageStartingWith(folder.toString())
                .hasMessageContainingAll(sentences);
    }

    private void edit(String from, String to) throws IOException {
        Path manifest = folder.resolve("manifest.json");
        String json = Files.readString(manifest);
        assertThat(json).contains(from);
        Files.writeString(manifest, json.replace(from, to));
    }

    @Test
    void everythingComesBack() {
        Artefact saved = artefact(1);
        ArtefactStore.save(folder, saved);
        Artefact loaded = ArtefactStore.load(folder);
        assertThat(loaded.method()).isEqualTo("teal");
        assertThat(loaded.parameters()).isEqualTo(saved.parameters());
        assertThat(loaded.modelFingerprint()).isEqualTo(saved.modelFingerprint());
        assertThat(loaded.dataFingerprint()).isEqualTo(saved.dataFingerprint());
        assertThat(loaded.createdAt()).isEqualTo(saved.createdAt());
        assertThat(loaded.tensors()).containsOnlyKeys("thresholds", "counts");
        assertThat(loaded.tensor("thresholds").toFloats()).containsExactly(1, 2);
        assertThat(loaded.tensor("counts").spec()).isEqualTo(TensorSpec.of(DType.I32, 1, 1));
        assertThat(Scratch.list(folder)).containsExactly("manifest.json", "tensors.safetensors");
        assertThat(Scratch.list(folder.resolveSibling("."))).containsExactly("teal");
    }

    @Test
    void theEmptyArtefactComesBackToo() {
        ArtefactStore.save(folder, Artefact.EMPTY);
        assertThat(ArtefactStore.load(folder)).isEqualTo(Artefact.EMPTY);
    }

    @Test
    void aTensorOutlivesItsArtefact() {
        ArtefactStore.save(folder, artefact(1));
        Tensor tensor = ArtefactStore.load(folder).tensor("thresholds");
        for (int i = 0; i < 3; i++) {
            System.gc();
        }
        assertThat(tensor.toFloats()).containsExactly(1, 2);
    }

    @Test
    void anArtefactIsReplacedAndWhatWasLoadedStays() {
        ArtefactStore.save(folder, artefact(1));
        Artefact loaded = ArtefactStore.load(folder);
        ArtefactStore.save(folder, artefact(9));
        assertThat(ArtefactStore.load(folder).tensor("thresholds").toFloats()).containsExactly(9, 2);
        assertThat(loaded.tensor("thresholds").toFloats()).containsExactly(1, 2);
        assertThat(Scratch.list(folder.resolveSibling("."))).containsExactly("teal");
    }

    @Test
    void aLoadedArtefactCanBeSavedOverItself() {
        ArtefactStore.save(folder, artefact(1));
        ArtefactStore.save(folder, ArtefactStore.load(folder));
        assertThat(ArtefactStore.load(folder).tensor("thresholds").toFloats()).containsExactly(1, 2);
    }

    @Test
    void aSaveThatFailsKeepsTheOldArtefactAndLeavesNothingBehind() {
        ArtefactStore.save(folder, artefact(1));
        Tensor columns = Tensor.allocate(Arena.ofAuto(), TensorSpec.of(DType.F32, 2, 2), Layout.COLUMN_MAJOR);
        Artefact bad = new Artefact("x", new TreeMap<>(), "", "", Instant.EPOCH, Map.of("c", columns));
        assertThatThrownBy(() -> ArtefactStore.save(folder, bad)).isInstanceOf(ShapeException.class);
        Artefact huge =
                new Artefact("x", new TreeMap<>(Map.of("k", "v".repeat(1 << 20))), "", "", Instant.EPOCH, Map.of());
        assertThatThrownBy(() -> ArtefactStore.save(folder, huge))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("allowed are 1048576");
        assertThat(ArtefactStore.load(folder).tensor("thresholds").toFloats()).containsExactly(1, 2);
        assertThat(Scratch.list(folder.resolveSibling("."))).containsExactly("teal");
    }

    @Test
    void aFolderThatIsNoArtefactIsNeverReplaced() throws IOException {
        Files.createDirectories(folder);
        ArtefactStore.save(folder, artefact(1));
        Files.writeString(folder.resolve("notes.txt"), "mine");
        assertThatThrownBy(() -> ArtefactStore.save(folder, artefact(2)))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("choose another folder");
        assertThat(folder.resolve("notes.txt")).hasContent("mine");
        assertThatThrownBy(() -> ArtefactStore.save(folder.resolve("notes.txt"), artefact(2)))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("is a file");
    }

    @Test
    void aMissingArtefactIsRefused() throws IOException {
        refused("there is no such artefact folder");
        Files.createDirectories(folder);
        refused("manifest.json: there is no such file");
        ArtefactStore.save(folder, artefact(1));
        Files.delete(folder.resolve("tensors.safetensors"));
        refused("tensors.safetensors: there is no such file");
    }

    @Test
    void anUnknownVersionIsRefusedWhateverElseTheManifestHolds() throws IOException {
        ArtefactStore.save(folder, artefact(1));
        edit("\"version\": 1,", "\"future\": [{\"x\": null}], \"version\": 2,");
        refused(
                "manifest.json",
                "the artefact has format version 2, this Winnow reads version 1;"
                        + " use the Winnow that wrote it, or calibrate again");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"version\": 1, | `` | version is missing",
                "\"version\": 1, | \"version\": 1.0, | version must be a whole number",
                "\"version\": 1, | \"version\": \"1\", | version must be a number",
                "\"version\": 1, | \"version\": 1, \"version\": 1, | the name 'version' occurs twice",
                "\"version\": 1, | \"version\": 1, \"run\": \"x\", | unknown member 'run'",
                "\"method\": \"teal\", | `` | method is missing",
                "\"method\": \"teal\" | \"method\": null | method must be a string, not NULL",
                "2026-01-31T | 2026-02-31T | createdAt is not a time",
                "\"samples\": \"64\" | \"samples\": 64 | the value of 'samples' in parameters must be a string",
                "\"tensors.safetensors\": | \"../tensors.safetensors\": | and no other, not '../tensors.safetensors'",
                "`\"bytes\": ` | `\"bytes\": -` | bytes must be a whole number",
                "\"sha256\": \" | \"sha256\": \"0 | its SHA-256 is",
                "`\"bytes\": ` | `\"bytes\": 1` | damaged: it has",
                "\"files\" | \"file\" | unknown member 'file'"
            })
    void aDamagedManifestIsRefused(String from, String to, String sentence) throws IOException {
        ArtefactStore.save(folder, artefact(1));
        edit(from, to);
        refused(sentence);
    }

    @Test
    void aHugeOrDeepManifestIsRefused() throws IOException {
        ArtefactStore.save(folder, artefact(1));
        Files.writeString(folder.resolve("manifest.json"), "{\"a\":" + "[".repeat(1_000_000));
        refused("manifest is not JSON: Nesting limit 16 reached");
        Files.writeString(folder.resolve("manifest.json"), " ".repeat((1 << 20) + 1));
        refused("manifest.json: 1048577 bytes are above the limit of 1048576 bytes");
    }

    @Test
    void damagedTensorsAreRefused() throws IOException {
        ArtefactStore.save(folder, artefact(1));
        Path file = folder.resolve("tensors.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length - 1] ^= 1;
        Files.write(file, bytes);
        refused("tensors.safetensors: damaged: its SHA-256 is", "calibrate again");
        Files.write(file, Arrays.copyOf(bytes, bytes.length - 1));
        refused("tensors.safetensors: damaged: it has " + (bytes.length - 1) + " bytes, the manifest says "
                + bytes.length);
    }
}
