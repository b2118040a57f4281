package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SafeTensorsTest {

    @TempDir
    Path folder;

    private Path file(String header, int dataBytes) throws IOException {
        return Files.write(folder.resolve("test.safetensors"), RawFile.of(header, dataBytes));
    }

    @Test
    void theExampleOfTheFormatsReferenceImplementationIsRead() throws IOException {
        // The file in the documentation of the Rust crate: 60 bytes of header, an int32 matrix of zeros.
        String text = "<\0\0\0\0\0\0\0{\"test\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}"
                + "\0".repeat(16);
        Path file = Files.write(folder.resolve("a.safetensors"), text.getBytes(StandardCharsets.ISO_8859_1));
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            assertThat(tensors.names()).containsExactly("test");
            assertThat(tensors.spec("test")).isEqualTo(TensorSpec.of(DType.I32, 2, 2));
            assertThat(tensors.metadata()).isEmpty();
            assertThat(tensors.load("test", arena).toFloats()).containsExactly(0, 0, 0, 0);
        }
    }

    @Test
    void valuesNamesAndMetadataAreRead() throws IOException {
        String header = "{\"__metadata__\":{\"format\":\"pt\",\"ü\":\"\"},"
                + "\"w.ö\":{\"shape\":[2],\"data_offsets\":[0,4],\"dtype\":\"BF16\"},"
                + "\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[4,5]}}  ";
        byte[] data = {(byte) 0x80, 0x3f, 0x20, (byte) 0xc0, 7};
        Path file = folder.resolve("a.safetensors");
        Files.write(file, RawFile.of(header.getBytes(StandardCharsets.UTF_8), data));
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            assertThat(tensors.names()).containsExactly("w.ö", "s");
            assertThat(tensors.metadata()).containsExactly(Map.entry("format", "pt"), Map.entry("ü", ""));
            assertThat(tensors.load("w.ö", arena).toFloats()).containsExactly(1f, -2.5f);
            assertThat(tensors.load("s", arena).toFloats()).containsExactly(7f);
            assertThat(tensors.spec("nothing")).isNull();
        }
    }

    @Test
    void namesComeInTheOrderOfTheirBytesNotOfTheHeader() throws IOException {
        Path file = file(
                "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]},"
                        + "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}",
                5);
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            assertThat(tensors.names()).containsExactly("a", "b");
            assertThat(tensors.load("b", arena).toFloats()).containsExactly(3, 4);
        }
    }

    @Test
    void aFileWithoutTensorsIsFine() throws IOException {
        try (SafeTensors tensors = SafeTensors.open(file("{}", 0));
                Arena arena = Arena.ofConfined()) {
            assertThat(tensors.names()).isEmpty();
            assertThatThrownBy(() -> tensors.load("a", arena)).hasMessageContaining("there are none");
        }
    }

    @Test
    void tensorsWithoutElementsAreFine() throws IOException {
        Path file = file(
                "{\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]},"
                        + "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                        + "\"last\":{\"dtype\":\"I64\",\"shape\":[3,0],\"data_offsets\":[2,2]}}",
                2);
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            assertThat(tensors.names()).containsExactly("none", "a", "last");
            assertThat(tensors.load("none", arena).toFloats()).isEmpty();
            assertThat(tensors.load("last", arena).spec()).isEqualTo(TensorSpec.of(DType.I64, 3, 0));
        }
    }

    @Test
    void int4IsOursAloneAndInNoFile() throws IOException {
        Path file = folder.resolve("t.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = Tensor.allocate(arena, DType.I4, 3, 8);
            assertThatThrownBy(() -> SafeTensorsWriter.write(file, Map.of("t", tensor), Map.of()))
                    .isInstanceOf(ShapeException.class)
                    .hasMessageContaining("the format has no type I4");
        }
        Files.write(file, RawFile.of("{\"t\":{\"dtype\":\"I4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1));
        assertThatThrownBy(() -> SafeTensors.open(file))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("unknown dtype 'I4'");
    }

    @ParameterizedTest
    @EnumSource(value = DType.class, mode = EnumSource.Mode.EXCLUDE, names = "I4")
    void everyTypeComesBackBitForBit(DType dtype) {
        long seed = dtype.bits();
        Path file = folder.resolve("t.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = Tensor.allocate(arena, dtype, 3, 8);
            byte[] bytes = new byte[(int) tensor.spec().maxBytes()];
            new Random(seed).nextBytes(bytes);
            MemorySegment.copy(bytes, 0, tensor.segment(), ValueLayout.JAVA_BYTE, 0, bytes.length);
            SafeTensorsWriter.write(file, Map.of("t", tensor), Map.of());
            try (SafeTensors read = SafeTensors.open(file)) {
                Tensor loaded = read.load("t", arena);
                assertThat(loaded.spec()).isEqualTo(tensor.spec());
                assertThat(RawFile.bytesOf(loaded)).as("seed %d", seed).isEqualTo(bytes);
                if (dtype.readable()) {
                    assertThat(loaded.toFloats()).as("seed %d", seed).isEqualTo(tensor.toFloats());
                }
            }
        }
    }

    @Test
    void elementsThatDoNotLieAtMultiplesOfTheirSizeAreCopiedIntoPlace() throws IOException {
        String header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                + "\"b\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[1,9]}}";
        for (int padding = 0; padding < 8; padding++) {
            try (SafeTensors tensors = SafeTensors.open(file(header + " ".repeat(padding), 9));
                    Arena arena = Arena.ofConfined()) {
                Tensor b = tensors.load("b", arena);
                assertThat(b.segment().address() % 4).isZero();
                assertThat(b.segment().get(ValueLayout.JAVA_INT, 4)).isEqualTo(0x08070605);
            }
        }
    }

    @Test
    void loadedTensorsLiveAsLongAsTheirArenaAndNotLonger() throws IOException {
        Path file = file("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
        Tensor tensor;
        try (Arena arena = Arena.ofConfined()) {
            try (SafeTensors tensors = SafeTensors.open(file)) {
                tensor = tensors.load("a", arena);
            }
            assertThat(tensor.getFloat(1)).isEqualTo(1f);
        }
        assertThatThrownBy(() -> tensor.getFloat(1)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void loadedTensorsCannotBeWrittenOrReadBeyondTheirBytes() throws IOException {
        Path file = file("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            MemorySegment segment = tensors.load("a", arena).segment();
            assertThat(segment.byteSize()).isEqualTo(2);
            assertThatThrownBy(() -> segment.set(ValueLayout.JAVA_BYTE, 0, (byte) 1))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void mappedTensorsHaveTheSameClassOfSegmentAsAllocatedOnes() throws IOException {
        Path file = file("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            Class<?> allocated = Tensor.allocate(arena, DType.U8, 2).segment().getClass();
            assertThat(tensors.load("a", arena).segment()).isExactlyInstanceOf(allocated);
        }
    }

    @Test
    void anAbsentTensorIsAnsweredWithCloseMatches() throws IOException {
        Path file = file(
                "{\"layers.0.q.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                        + "\"layers.1.q.weight\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]},"
                        + "\"norm\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
                3);
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> tensors.load("layer.1.q.weight", arena))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessage(file + ": there is no tensor 'layer.1.q.weight';"
                            + " close matches: 'layers.1.q.weight', 'layers.0.q.weight'");
            assertThatThrownBy(() -> tensors.load("something.else.entirely", arena))
                    .hasMessageContaining("there are 3, the first is 'layers.0.q.weight'");
        }
    }

    @Test
    void aClosedSourceLoadsNothing() throws IOException {
        SafeTensors tensors =
                SafeTensors.open(file("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2));
        tensors.close();
        tensors.close();
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> tensors.load("a", arena))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("is closed");
        }
    }

    @Test
    void aFileThatShrinksWhileOpenIsRefusedBeforeItIsMapped() throws IOException {
        String header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[0,9]}}";
        Path file = file(header, 9);
        try (SafeTensors tensors = SafeTensors.open(file);
                Arena arena = Arena.ofConfined()) {
            Files.write(file, RawFile.of(header, 4));
            assertThatThrownBy(() -> tensors.load("a", arena))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("changed while it was open")
                    .hasMessageContaining(file.toString());
            assertThatThrownBy(tensors::fingerprint).isInstanceOf(ArtefactException.class);
        }
    }

    @Test
    void theFingerprintSeesNamesTypesShapesAndBytesButNotTheOrder() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor a = Tensor.copyOf(arena, new float[] {1, 2, 3, 4}, 2, 2);
            Tensor b = Tensor.copyOf(arena, new float[] {5}, 1);
            String original = fingerprint(ordered("a", a, "b", b));
            assertThat(original).matches("[0-9a-f]{16}");
            assertThat(fingerprint(ordered("b", b, "a", a))).isEqualTo(original);
            assertThat(fingerprint(ordered("c", a, "b", b))).isNotEqualTo(original);
            assertThat(fingerprint(ordered("a", Tensor.copyOf(arena, new float[] {1, 2, 3, 4}, 4), "b", b)))
                    .isNotEqualTo(original);
            assertThat(fingerprint(ordered("a", Tensor.copyOf(arena, new float[] {1, 2, 3, 5}, 2, 2), "b", b)))
                    .isNotEqualTo(original);
            assertThat(fingerprint(ordered("a", a, "b", Tensor.wrap(b.segment(), TensorSpec.of(DType.I32, 1)))))
                    .isNotEqualTo(original);
        }
    }

    @Test
    void theFingerprintOfALargeTensorSeesItsFirstAndItsLastByte() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor large = Tensor.allocate(arena, DType.U8, 100_003);
            String zeros = fingerprint(Map.of("a", large));
            large.segment().set(ValueLayout.JAVA_BYTE, 100_002, (byte) 1);
            String last = fingerprint(Map.of("a", large));
            large.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
            assertThat(fingerprint(Map.of("a", large))).isNotEqualTo(last);
            assertThat(last).isNotEqualTo(zeros);
        }
    }

    private String fingerprint(Map<String, Tensor> tensors) {
        Path file = folder.resolve("f.safetensors");
        SafeTensorsWriter.write(file, tensors, Map.of());
        try (SafeTensors read = SafeTensors.open(file)) {
            return Objects.requireNonNull(read.fingerprint());
        }
    }

    private static Map<String, Tensor> ordered(String name, Tensor tensor, String other, Tensor otherTensor) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        tensors.put(name, tensor);
        tensors.put(other, otherTensor);
        return tensors;
    }
}
