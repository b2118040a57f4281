package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FingerprintTest {

    @TempDir
    Path folder;

    @Test
    void textsAndFilesHaveTheFirstDigitsOfTheirSha256() throws IOException {
        // FIPS 180-4, the example "abc".
        assertThat(Fingerprint.ofText("abc")).isEqualTo("ba7816bf8f01cfea").hasSize(Fingerprint.LENGTH);
        assertThat(Fingerprint.ofText("")).isEqualTo("e3b0c44298fc1c14");
        Path file = Files.writeString(folder.resolve("f"), "abc");
        assertThat(Fingerprint.ofFile(file)).isEqualTo("ba7816bf8f01cfea");
        assertThat(Fingerprint.sha256(file))
                .isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    @Test
    void partsAreSetOffFromEachOther() {
        assertThat(Fingerprint.ofTexts(List.of("ab", "c"))).isNotEqualTo(Fingerprint.ofTexts(List.of("a", "bc")));
        assertThat(Fingerprint.ofTexts(List.of("ab", ""))).isNotEqualTo(Fingerprint.ofTexts(List.of("ab")));
    }

    @Test
    void moreCanBeAddedAfterAFingerprintWasTaken() {
        Fingerprint fingerprint = new Fingerprint().add("a").add(1);
        String first = fingerprint.hex();
        assertThat(fingerprint.hex()).isEqualTo(first);
        assertThat(fingerprint.add(2).hex())
                .isEqualTo(new Fingerprint().add("a").add(1).add(2).hex());
    }

    @Test
    void tensorsDifferByBytesTypeAndShape() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = Tensor.copyOf(arena, new float[] {1, 2}, 2);
            String original = Fingerprint.ofTensor(tensor);
            assertThat(Fingerprint.ofTensor(Tensor.copyOf(arena, new float[] {1, 2}, 2)))
                    .isEqualTo(original);
            assertThat(Fingerprint.ofTensor(Tensor.copyOf(arena, new float[] {1, 3}, 2)))
                    .isNotEqualTo(original);
            assertThat(Fingerprint.ofTensor(Tensor.wrap(tensor.segment(), TensorSpec.of(DType.F32, 1, 2))))
                    .isNotEqualTo(original);
            assertThat(Fingerprint.ofTensor(Tensor.wrap(tensor.segment(), TensorSpec.of(DType.I32, 2))))
                    .isNotEqualTo(original);
        }
    }

    @Test
    void aMissingFileIsRefused() {
        Path file = folder.resolve("none");
        assertThatThrownBy(() -> Fingerprint.ofFile(file))
                .isInstanceOf(ArtefactException.class)
                .hasMessage(file + ": there is no such file");
    }
}
