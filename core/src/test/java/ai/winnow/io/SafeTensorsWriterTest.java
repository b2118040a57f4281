package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafeTensorsWriterTest {

    @TempDir
    Path folder;

    private final Arena arena = Arena.ofConfined();
    private final Map<String, TensorSpec> specs = new LinkedHashMap<>();
    private Path file;

    @BeforeEach
    void declareTwoTensors() {
        file = folder.resolve("out.safetensors");
        specs.put("z", TensorSpec.of(DType.F32, 2));
        specs.put("a", TensorSpec.of(DType.I32, 1, 1));
    }

    @AfterEach
    void freeMemory() {
        arena.close();
    }

    private Tensor floats(float... values) {
        return Tensor.copyOf(arena, values, values.length);
    }

    private Tensor number(int value) {
        return Tensor.copyOf(arena, new int[] {value}, 1, 1);
    }

    @Test
    void theFileIsTheOneTheFormatDescribesByteForByte() throws IOException {
        try (SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of("k", "é\"<"))) {
            writer.write("z", floats(1f, -2f));
            writer.write("a", number(0x01020304));
        }
        String header =
                "{\"__metadata__\":{\"k\":\"é\\\"<\"},\"z\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                        + "\"a\":{\"dtype\":\"I32\",\"shape\":[1,1],\"data_offsets\":[8,12]}}";
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        byte[] padded = (header + " ".repeat((8 - text.length % 8) % 8)).getBytes(StandardCharsets.UTF_8);
        assertThat(padded.length % 8).isZero();
        byte[] data = {0, 0, (byte) 0x80, 0x3f, 0, 0, 0, (byte) 0xc0, 4, 3, 2, 1};
        assertThat(Files.readAllBytes(file)).isEqualTo(RawFile.of(padded, data));
    }

    @Test
    void dataBeginAtAMultipleOfEightWhateverTheHeader() throws IOException {
        for (int length = 0; length < 16; length++) {
            SafeTensorsWriter.write(file, Map.of("x".repeat(length), floats(1f)), Map.of());
            byte[] bytes = Files.readAllBytes(file);
            assertThat(bytes.length % 8).as("name of %d characters", length).isEqualTo(4);
        }
    }

    @Test
    void theFileAppearsOnlyWhenItIsComplete() {
        try (SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of())) {
            writer.write("z", floats(1f, 2f));
            assertThat(file).doesNotExist();
            writer.write("a", number(1));
            assertThat(file).doesNotExist();
        }
        assertThat(Scratch.list(folder)).containsExactly("out.safetensors");
    }

    @Test
    void anOlderFileIsReplacedOnlyWhenTheNewOneIsComplete() throws IOException {
        Files.writeString(file, "old");
        SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of());
        writer.write("z", floats(1f, 2f));
        assertThat(file).hasContent("old");
        writer.write("a", number(1));
        writer.close();
        writer.close();
        SafeTensors.open(file).close();
    }

    @Test
    void anAbortedWriterLeavesNothingBehind() throws IOException {
        Files.writeString(file, "old");
        try (SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of())) {
            writer.write("z", floats(1f, 2f));
            writer.abort();
            assertThatThrownBy(() -> writer.write("a", number(1)))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("already aborted");
        }
        assertThat(Scratch.list(folder)).containsExactly("out.safetensors");
        assertThat(file).hasContent("old");
    }

    @Test
    void closingBeforeTheLastTensorIsAnErrorAndLeavesNothingBehind() {
        SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of());
        writer.write("z", floats(1f, 2f));
        assertThatThrownBy(writer::close)
                .isInstanceOf(ArtefactException.class)
                .hasMessage(file + " was not written: 1 of 2 declared tensors are missing, the first is 'a'");
        assertThat(Scratch.list(folder)).isEmpty();
    }

    @Test
    void anErrorInTheBodyIsTheOneThatIsThrown() {
        assertThatThrownBy(() -> {
                    try (SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of())) {
                        writer.write("a", number(1));
                    }
                })
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("next is 'z', not 'a'")
                .hasNoSuppressedExceptions();
        assertThat(Scratch.list(folder)).isEmpty();
    }

    @Test
    void aTensorThatWasDeclaredOtherwiseIsRefused() {
        SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of());
        assertThatThrownBy(() -> writer.write("z", floats(1f, 2f, 3f)))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("'z' was declared as F32 [2], row-major, and is F32 [3], row-major");
        assertThat(Scratch.list(folder)).isEmpty();
    }

    @Test
    void onlyRowMajorTensorsAreWritten() {
        Tensor columns = Tensor.allocate(arena, TensorSpec.of(DType.F32, 2, 3), Layout.COLUMN_MAJOR);
        assertThatThrownBy(() -> SafeTensorsWriter.write(file, Map.of("w", columns), Map.of()))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("column-major");
        assertThat(Scratch.list(folder)).isEmpty();
    }

    @Test
    void oneTensorTooManyIsRefused() {
        SafeTensorsWriter writer = SafeTensorsWriter.create(file, Map.of("z", TensorSpec.of(DType.F32, 1)), Map.of());
        writer.write("z", floats(1f));
        assertThatThrownBy(() -> writer.write("z", floats(1f))).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void namesAndSpecsThatTheFormatCannotHoldAreRefusedBeforeAnyFileIsMade() {
        TensorSpec spec = TensorSpec.of(DType.F32, 1);
        assertThatThrownBy(() -> SafeTensorsWriter.create(file, Map.of("__metadata__", spec), Map.of()))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> SafeTensorsWriter.create(file, Map.of("\ud800", spec), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("lone surrogate");
        TensorSpec varying = TensorSpec.rows(DType.F32, new Dim.AtMost(4, "tokens"), 8);
        assertThatThrownBy(() -> SafeTensorsWriter.create(file, Map.of("a", varying), Map.of()))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("rows that vary");
        assertThat(Scratch.list(folder)).isEmpty();
    }

    @Test
    void aMissingFolderIsNamed() {
        Path lost = folder.resolve("missing").resolve("out.safetensors");
        assertThatThrownBy(() -> SafeTensorsWriter.create(lost, specs, Map.of()))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining(lost + ": cannot write the file");
    }

    @Test
    void theConvenienceWritesWideElementsFirstSoThatAllAreAligned() {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        tensors.put("bytes", Tensor.allocate(arena, DType.U8, 3));
        tensors.put("floats", floats(1f));
        tensors.put("longs", Tensor.allocate(arena, DType.I64, 1));
        tensors.put("more", floats(2f));
        SafeTensorsWriter.write(file, tensors, Map.of());
        try (SafeTensors read = SafeTensors.open(file)) {
            assertThat(read.names()).containsExactly("longs", "floats", "more", "bytes");
            assertThat(read.load("more", arena).toFloats()).containsExactly(2f);
        }
    }

    @Test
    void tensorsLargerThanTheBufferAreWrittenWhole() {
        long seed = 7;
        Random random = new Random(seed);
        Tensor large = Tensor.allocate(arena, DType.F32, (1 << 22) + 3);
        for (int i = 0; i < 1000; i++) {
            large.dtype().setFloat(large.segment(), random.nextInt((1 << 22) + 3), random.nextFloat());
        }
        SafeTensorsWriter.write(file, Map.of("large", large, "after", floats(5f)), Map.of());
        try (SafeTensors read = SafeTensors.open(file)) {
            assertThat(read.load("large", arena).segment().mismatch(large.segment()))
                    .as("seed %d", seed)
                    .isEqualTo(-1);
            assertThat(read.load("after", arena).toFloats()).containsExactly(5f);
        }
    }

    @Test
    void shardsSplitAtTheBudgetAndAreReadAsOneSource() {
        Map<String, TensorSpec> declared = new LinkedHashMap<>();
        for (String name : List.of("a", "b", "c", "d")) {
            declared.put(name, TensorSpec.of(DType.F32, 2));
        }
        declared.put("big", TensorSpec.of(DType.F32, 9));
        declared.put("e", TensorSpec.of(DType.F32, 1));
        try (ShardedSafeTensorsWriter writer =
                ShardedSafeTensorsWriter.create(folder, declared, Map.of("format", "pt"), 24)) {
            for (String name : List.of("a", "b", "c", "d")) {
                writer.write(name, floats(name.charAt(0), 0));
            }
            writer.write("big", Tensor.allocate(arena, DType.F32, 9));
            assertThat(Scratch.list(folder)).noneMatch(name -> name.endsWith(".safetensors"));
            writer.write("e", floats(1f));
        }
        assertThat(Scratch.list(folder))
                .containsExactly(
                        "model-00001-of-00004.safetensors",
                        "model-00002-of-00004.safetensors",
                        "model-00003-of-00004.safetensors",
                        "model-00004-of-00004.safetensors",
                        "model.safetensors.index.json");
        try (SafeTensors read = SafeTensors.open(folder)) {
            assertThat(read.names()).containsExactly("a", "b", "c", "d", "big", "e");
            assertThat(read.load("d", arena).toFloats()).containsExactly('d', 0);
            assertThat(read.metadata()).containsExactly(Map.entry("format", "pt"));
        }
        assertThat(folder.resolve("model.safetensors.index.json"))
                .content()
                .contains("\"total_size\": 72", "\"c\": \"model-00001-of-00004.safetensors\"");
    }

    @Test
    void oneShardNeedsNoIndex() {
        Path made = folder.resolve("made");
        try (ShardedSafeTensorsWriter writer = ShardedSafeTensorsWriter.create(made, specs, Map.of(), 1000)) {
            writer.write("z", floats(1f, 2f));
            writer.write("a", number(3));
        }
        assertThat(Scratch.list(made)).containsExactly("model.safetensors");
    }

    @Test
    void unfinishedShardsLeaveNothingBehind() {
        Path made = folder.resolve("made");
        ShardedSafeTensorsWriter writer = ShardedSafeTensorsWriter.create(made, specs, Map.of(), 1);
        writer.write("z", floats(1f, 2f));
        assertThatThrownBy(writer::close)
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("the first is 'a'");
        assertThat(made).doesNotExist();
        assertThatThrownBy(() -> writer.write("a", number(3))).isInstanceOf(IllegalStateException.class);

        ShardedSafeTensorsWriter wrong = ShardedSafeTensorsWriter.create(folder, specs, Map.of(), 1);
        wrong.write("z", floats(1f, 2f));
        assertThatThrownBy(() -> wrong.write("b", number(3))).isInstanceOf(IllegalArgumentException.class);
        wrong.close();
        assertThat(Scratch.list(folder)).isEmpty();
    }

    @Test
    void aFolderThatHoldsACheckpointIsNotMixedWithAnother() throws IOException {
        Files.writeString(folder.resolve("model.safetensors"), "old");
        assertThatThrownBy(() -> ShardedSafeTensorsWriter.create(folder, specs, Map.of(), 1))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("write to another folder");
        assertThat(folder.resolve("model.safetensors")).hasContent("old");
    }
}
