package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterContainer;
import org.junit.jupiter.api.Test;

/** Whatever is done to a valid file: it is read, or refused with an {@link ArtefactException}. Nothing else happens. */
class SafeTensorsMutationTest {

    private static final byte[] VALID = RawFile.of(
            "{\"__metadata__\":{\"f\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
                    + "\"b\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[8,11]}} ",
            11);

    /** One folder for all tries: making and removing one each time would take longer than the tests. */
    private static final Scratch SCRATCH = Scratch.open();

    @AfterContainer
    static void removeFiles() {
        SCRATCH.close();
    }

    @Test
    void everySingleByteSetToEveryValueIsReadOrRefused() throws IOException {
        int read = 0;
        try (Scratch scratch = Scratch.open()) {
            Path file = scratch.write("m.safetensors", VALID);
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                for (int position = 0; position < VALID.length; position++) {
                    for (int value = 0; value < 256; value++) {
                        channel.write(ByteBuffer.wrap(new byte[] {(byte) value}), position);
                        read += readOrRefuse(file, "byte " + position + " set to " + value) ? 1 : 0;
                    }
                    channel.write(ByteBuffer.wrap(VALID, position, 1), position);
                }
            }
        }
        // At least the data bytes may take every value; that every mutation is refused would be a wrong test.
        assertThat(read).isGreaterThan(11 * 256);
    }

    @Property(tries = 1000)
    void truncationsAndExtensionsAreReadOrRefused(@ForAll int length) {
        check(Arrays.copyOf(VALID, Math.floorMod(length, VALID.length * 2)), "length " + length);
    }

    @Property(tries = 2000)
    void insertionsAreReadOrRefused(@ForAll int position, @ForAll @Size(min = 1, max = 20) byte[] inserted) {
        byte[] mutated = RawFile.insert(VALID, Math.floorMod(position, VALID.length + 1), inserted);
        check(mutated, "insertion at " + position);
        // With the length put right, the mutation reaches the parser instead of the first check.
        long header = ByteBuffer.wrap(VALID).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
        check(
                RawFile.withHeaderLength(mutated, header + inserted.length),
                "insertion and longer header at " + position);
    }

    @Property(tries = 2000)
    void jsonInsertedAnywhereIsReadOrRefused(@ForAll int position, @ForAll int which, @ForAll int length) {
        String[] pieces = {
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\u",
            "0",
            "9",
            "-",
            ".",
            "e9",
            "null",
            "true",
            " ",
            "a",
            "\"dtype\":",
            "[0,0]",
            "{}",
            "\"c\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},",
            "\n",
            "\0",
            "ü"
        };
        String piece = pieces[Math.floorMod(which, pieces.length)].repeat(1 + Math.floorMod(length, 3));
        byte[] inserted = piece.getBytes(StandardCharsets.UTF_8);
        int header = VALID.length - 8 - 11;
        byte[] mutated = RawFile.insert(VALID, 8 + Math.floorMod(position, header), inserted);
        check(RawFile.withHeaderLength(mutated, header + inserted.length), "'" + piece + "' at " + position);
    }

    @Property(tries = 1000)
    void headerLengthsAreReadOrRefused(@ForAll long length, @ForAll boolean small) {
        long changed = small ? Math.floorMod(length, VALID.length + 10) : length;
        check(RawFile.withHeaderLength(VALID, changed), "header length " + changed);
    }

    @Property(tries = 1000)
    void randomBytesAreReadOrRefused(@ForAll @Size(max = 200) byte[] bytes, @ForAll boolean framed) {
        check(framed ? RawFile.of(bytes, new byte[0]) : bytes, "random bytes, framed: " + framed);
    }

    private static void check(byte[] bytes, String mutation) {
        readOrRefuse(SCRATCH.write("m.safetensors", bytes), mutation);
    }

    /** Whether the file was read, every byte of every tensor included. */
    private static boolean readOrRefuse(Path file, String mutation) {
        try (SafeTensors tensors = SafeTensors.open(file)) {
            long bytes = 0;
            for (String name : tensors.names()) {
                try (Arena arena = Arena.ofConfined()) {
                    Tensor tensor = tensors.load(name, arena);
                    bytes += RawFile.bytesOf(tensor).length;
                    assertThat(tensor.segment().toArray(ValueLayout.JAVA_BYTE)).isNotNull();
                }
            }
            assertThat(tensors.fingerprint()).hasSize(16);
            assertThat(bytes).as(mutation).isLessThanOrEqualTo(Files.size(file) - 8);
            return true;
        } catch (ArtefactException e) {
            assertThat(e.getMessage()).as(mutation).startsWith(file.toString());
            return false;
        } catch (Exception e) {
            throw new AssertionError(mutation + " was answered with " + e, e);
        }
    }
}
