package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.winnow.ArtefactException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** One rule a test: what a file may not be, and the sentence that says so. */
class SafeTensorsDamageTest {

    private static final String ONE = "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}";

    @TempDir
    Path folder;

    private void refused(byte[] bytes, String... sentences) throws IOException {
        Path file = Files.write(folder.resolve("bad.safetensors"), bytes);
        assertThatThrownBy(() -> SafeTensors.open(file).close())
                .isInstanceOf(ArtefactException.class)
                .hasMessageStartingWith(file.toString())
                .hasMessageContainingAll(sentences);
    }

    private void refused(String header, int dataBytes, String... sentences) throws IOException {
        refused(RawFile.of(header, dataBytes), sentences);
    }

    private static String entry(String name, String dtype, String shape, String offsets) {
        return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets
                + "}";
    }

    @Test
    void theFileWithoutDamageIsRead() throws IOException {
        SafeTensors.open(Files.write(folder.resolve("good.safetensors"), RawFile.of(ONE, 4)))
                .close();
    }

    @Test
    void aMissingFileIsRefused() {
        assertThatThrownBy(() -> SafeTensors.open(folder.resolve("none.safetensors")))
                .isInstanceOf(ArtefactException.class)
                .hasMessage(folder.resolve("none.safetensors") + ": there is no such file");
    }

    @Test
    void aFolderWithoutACheckpointIsRefusedAndWhatItHoldsIsNamed() throws IOException {
        assertThatThrownBy(() -> SafeTensors.open(folder))
                .isInstanceOf(ArtefactException.class)
                .hasMessage(folder + ": the folder has neither model.safetensors nor model.safetensors.index.json");
        Files.write(folder.resolve("adapter.safetensors"), RawFile.of(ONE, 4));
        assertThatThrownBy(() -> SafeTensors.open(folder))
                .hasMessageEndingWith("open one of its files instead: adapter.safetensors");
    }

    @Test
    void aFolderInPlaceOfTheFileIsRefused() throws IOException {
        Files.createDirectory(folder.resolve("model.safetensors"));
        assertThatThrownBy(() -> SafeTensors.open(folder))
                .isInstanceOf(ArtefactException.class)
                .hasMessage(folder.resolve("model.safetensors") + ": this is a folder, not a file");
    }

    @Test
    void aDeviceIsRefusedInsteadOfReadForEver() {
        Path device = Path.of("/dev/zero");
        assumeTrue(Files.exists(device));
        assertThatThrownBy(() -> SafeTensors.open(device))
                .isInstanceOf(ArtefactException.class)
                .hasMessage("/dev/zero: this is a pipe or device, not a file");
    }

    @Test
    void anEmptyFileIsRefused() throws IOException {
        refused(new byte[0], "the file is empty");
    }

    @Test
    void aFileShorterThanTheHeaderLengthIsRefused() throws IOException {
        refused(new byte[7], "truncated", "this file has 7");
    }

    @Test
    void aFileTruncatedAnywhereIsRefused() throws IOException {
        byte[] whole = RawFile.of(ONE, 4);
        for (int length = 0; length < whole.length; length++) {
            refused(Arrays.copyOf(whole, length), ": ");
        }
        refused(Arrays.copyOf(whole, whole.length - 1), "tensor 'a'", "[0, 4] go beyond the data section of 3 bytes");
    }

    @Test
    void aHeaderLongerThanTheFileIsRefused() throws IOException {
        refused(RawFile.withHeaderLength(RawFile.of(ONE, 4), 61), "byte 0: header length 61 goes beyond the file");
    }

    @ParameterizedTest
    @ValueSource(longs = {100_000_001L, Integer.MAX_VALUE + 1L, Long.MAX_VALUE})
    void aHeaderAboveTheLimitIsRefused(long length) throws IOException {
        refused(RawFile.withHeaderLength(RawFile.of(ONE, 4), length), "byte 0: header length " + length, "100000000");
    }

    @Test
    void aHeaderLengthAbove63BitsIsRefusedWithItsUnsignedValue() throws IOException {
        refused(
                RawFile.withHeaderLength(RawFile.of(ONE, 4), -1),
                "header length 18446744073709551615 is above the limit");
    }

    @Test
    void aGitLfsPointerIsCalledByItsName() throws IOException {
        refused(
                "version https://git-lfs.github.com/spec/v1\n".getBytes(StandardCharsets.UTF_8),
                "this is a Git LFS pointer",
                "git lfs pull");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " {}", "[]", "\uFEFF{}", "null", "\n{}"})
    void aHeaderMustBeginWithABrace(String header) throws IOException {
        refused(header, 0, "must begin with '{' at byte 8");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{",
                "{\"a\"",
                "{\"a\":",
                "{,}",
                "{}}",
                "{} x",
                "{}\0",
                "{'a':{}}",
                "{a:{}}",
                "{}//",
                "{\"__metadata__\":{\"k\":\"v\",}}",
                "{\"__metadata__\":{\"k\" \"v\"}}",
                "{\"__metadata__\":{\"k\":\"\t\"}}",
                "{\"__metadata__\":{\"k\":\"\\x\"}}",
                "{\"__metadata__\":{\"k\":\"\\u12\"}}",
                "{\"__metadata__\":{\"k\":TRUE}}"
            })
    void aHeaderThatIsNotStrictJsonIsRefused(String header) throws IOException {
        refused(header, 0, "header is not JSON", "line 1 column");
    }

    @Test
    void textThatIsNotUtf8IsRefusedWithItsPlace() throws IOException {
        byte[] bytes = RawFile.of(ONE, 4);
        bytes[10] = (byte) 0xff;
        refused(bytes, "header is not UTF-8 at byte 10 of the file");
        byte[] late = RawFile.of("{\"__metadata__\":{\"k\":\"" + "x".repeat(20_000) + "\"}}", 0);
        late[15_000] = (byte) 0xc3;
        refused(late, "header is not UTF-8 at byte 15000 of the file");
    }

    @Test
    void loneSurrogatesAreRefused() throws IOException {
        refused("{" + entry("\\ud800", "U8", "[4]", "[0,4]") + "}", 4, "lone surrogate");
    }

    @Test
    void deepNestingIsRefused() throws IOException {
        refused("{\"a\":".repeat(100_000), 0, "unknown key 'a'");
        refused("{\"a\":{\"shape\":" + "[".repeat(100_000), 0, "shape of tensor 'a'", "must be a number");
    }

    @Test
    void duplicateNamesAreRefused() throws IOException {
        refused(
                "{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("\\u0061", "U8", "[4]", "[0,4]") + "}",
                4,
                "the name 'a' occurs twice in the header");
    }

    @Test
    void duplicateKeysInsideAnEntryAreRefused() throws IOException {
        refused(
                "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
                4,
                "the name 'dtype' occurs twice in tensor 'a'");
        refused("{\"__metadata__\":{\"k\":\"v\",\"k\":\"v\"}}", 0, "the name 'k' occurs twice in __metadata__");
        refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "the name '__metadata__' occurs twice");
    }

    @Test
    void unknownKeysAreRefused() throws IOException {
        refused(
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"code\":\"x\"}}",
                4,
                "tensor 'a' has the unknown key 'code'");
    }

    @Test
    void missingKeysAreRefused() throws IOException {
        refused("{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "tensor 'a' has no dtype");
        refused("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4, "tensor 'a' has no shape");
        refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "tensor 'a' has no data_offsets");
    }

    @Test
    void metadataMustBeTexts() throws IOException {
        refused("{\"__metadata__\":{\"k\":1}}", 0, "the value of 'k' in __metadata__ must be a string, not NUMBER");
        refused("{\"__metadata__\":[]}", 0, "__metadata__ must be an object");
    }

    @Test
    void unknownTypesAreRefused() throws IOException {
        refused("{" + entry("a", "F7", "[4]", "[0,4]") + "}", 4, "tensor 'a' has the unknown dtype 'F7'", "BF16");
        refused("{" + entry("a", "f32", "[1]", "[0,4]") + "}", 4, "unknown dtype 'f32'");
    }

    @ParameterizedTest
    @ValueSource(strings = {"-4", "4.0", "4e0", "-0", "1E400", "4.5", "\"4\"", "null", "true", "[4]"})
    void numbersMustBeWholeAndNotNegative(String number) throws IOException {
        refused("{" + entry("a", "U8", "[" + number + "]", "[0,4]") + "}", 4, "shape of tensor 'a' must be");
        refused("{" + entry("a", "U8", "[4]", "[0," + number + "]") + "}", 4, "data_offsets of tensor 'a' must be");
    }

    @ParameterizedTest
    @ValueSource(strings = {"9223372036854775808", "99999999999999999999999999999999"})
    void hugeNumbersAreRefused(String number) throws IOException {
        refused("{" + entry("a", "U8", "[" + number + "]", "[0,4]") + "}", 4, "is larger than 2^63-1");
        refused("{" + entry("a", "U8", "[4]", "[0," + number + "]") + "}", 4, "is larger than 2^63-1");
    }

    @Test
    void offsetsMustBeTwo() throws IOException {
        refused("{" + entry("a", "U8", "[4]", "[4]") + "}", 4, "must be [begin, end], it has 1");
        refused("{" + entry("a", "U8", "[4]", "[0,4,4]") + "}", 4, "has more than 2 elements");
    }

    @Test
    void aShapeWithTooManyAxesIsRefused() throws IOException {
        refused("{" + entry("a", "U8", "[" + "1,".repeat(64) + "1]", "[0,1]") + "}", 1, "more than 64 elements");
    }

    @Test
    void decreasingOffsetsAreRefused() throws IOException {
        refused("{" + entry("a", "U8", "[4]", "[4,0]") + "}", 4, "tensor 'a': data_offsets decrease from 4 to 0");
    }

    @Test
    void offsetsBeyondTheFileAreRefused() throws IOException {
        refused(
                "{" + entry("a", "U8", "[4]", "[1,5]") + "}",
                4,
                "tensor 'a': data_offsets [1, 5] go beyond the data section of 4 bytes, which begins at byte 61");
        refused(
                "{" + entry("a", "U8", "[4]", "[9223372036854775803,9223372036854775807]") + "}",
                4,
                "go beyond the data");
    }

    @Test
    void overlappingOffsetsAreRefused() throws IOException {
        refused(
                "{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[4]", "[2,6]") + "}",
                6,
                "tensor 'b' begins at byte 115 of the file, inside tensor 'a', which ends at byte 117");
        refused("{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[4]", "[0,4]") + "}", 4, "overlap");
        refused("{" + entry("a", "U8", "[4]", "[0,4]") + "," + entry("b", "U8", "[0]", "[2,2]") + "}", 4, "overlap");
    }

    @Test
    void holesAreRefused() throws IOException {
        refused(
                "{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("b", "U8", "[2]", "[3,5]") + "}",
                5,
                "hole: bytes 115 to 116 of the file, between tensor 'a' and tensor 'b', belong to no tensor");
        refused("{" + entry("a", "U8", "[2]", "[1,3]") + "}", 3, "hole", "between the header and tensor 'a'");
    }

    @Test
    void bytesAfterTheLastTensorAreRefused() throws IOException {
        refused(ONE, 6, "the last 2 bytes, from byte 65 of the file on, belong to no tensor; last is tensor 'a'");
        refused("{}", 1, "the last 1 bytes", "last is the header");
    }

    @Test
    void aShapeThatDoesNotTakeItsBytesIsRefused() throws IOException {
        refused(
                "{" + entry("a", "F32", "[2,3]", "[0,20]") + "}",
                20,
                "tensor 'a': F32 [2, 3] takes 24 bytes, its data_offsets [0, 20] at byte 65 of the file hold 20");
        refused("{" + entry("a", "F32", "[]", "[0,8]") + "}", 8, "takes 4 bytes");
        refused("{" + entry("a", "F32", "[0]", "[0,8]") + "}", 8, "takes 0 bytes");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "[4294967296,4294967296]",
                "[9223372036854775807,2]",
                "[3037000500,3037000500]",
                "[2305843009213693953]",
                "[0,4294967296,4294967296]"
            })
    void productsThatOverflowAreRefused(String shape) throws IOException {
        refused("{" + entry("a", "F32", shape, "[0,4]") + "}", 4, "tensor 'a'", "is impossible", "a long can count");
    }

    @Test
    void elementsThatDoNotFillBytesAreRefused() throws IOException {
        refused("{" + entry("a", "F4", "[3]", "[0,1]") + "}", 1, "tensor 'a'", "do not fill whole bytes");
    }

    @Test
    void namesInMessagesAreClippedAndPrintable() throws IOException {
        String name = "\\u0007\\n" + "x".repeat(100_000);
        Path file = Files.write(
                folder.resolve("bad.safetensors"), RawFile.of("{" + entry(name, "F7", "[4]", "[0,4]") + "}", 4));
        assertThatThrownBy(() -> SafeTensors.open(file))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("tensor '??xxx")
                .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(1000).doesNotContain("\n", "\u0007"));
    }
}
