package ai.winnow.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

/** Whatever is done to a valid manifest: the artefact is loaded, or refused with an {@link ArtefactException}. */
class ManifestMutationTest {

    private static final Path FILE = Path.of("manifest.json");
    private static final byte[] VALID = valid();

    private static byte[] valid() {
        try (Scratch scratch = Scratch.open()) {
            ArtefactStore.save(scratch.folder().resolve("a"), ArtefactStoreTest.artefact(1));
            return Files.readAllBytes(scratch.folder().resolve("a").resolve("manifest.json"));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void everySingleByteSetToEveryValueIsReadOrRefused() {
        int read = 0;
        for (int position = 0; position < VALID.length; position++) {
            for (int value = 0; value < 256; value++) {
                byte[] mutated = VALID.clone();
                mutated[position] = (byte) value;
                read += readOrRefuse(mutated, "byte " + position + " set to " + value) ? 1 : 0;
            }
        }
        // At least the unchanged ones are read.
        assertThat(read).isGreaterThan(VALID.length);
    }

    @Property(tries = 1000)
    void truncationsAndExtensionsAreReadOrRefused(@ForAll int length) {
        readOrRefuse(Arrays.copyOf(VALID, Math.floorMod(length, VALID.length * 2)), "length " + length);
    }

    @Property(tries = 1000)
    void insertionsAreReadOrRefused(@ForAll int position, @ForAll @Size(min = 1, max = 20) byte[] inserted) {
        readOrRefuse(
                RawFile.insert(VALID, Math.floorMod(position, VALID.length + 1), inserted), "insertion at " + position);
    }

    @Property(tries = 2000)
    void textInsertedAnywhereIsReadOrRefused(@ForAll int position, @ForAll int which) {
        String[] pieces = {
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\ud800",
            "0",
            "-",
            "1e999",
            "null",
            "\"version\": 1,",
            "\"x\": {},",
            "[[[[[[[[[[[[[[[[[[[[",
            "99999999999999999999",
            "ü",
            "\0"
        };
        String piece = pieces[Math.floorMod(which, pieces.length)];
        byte[] inserted = piece.getBytes(StandardCharsets.UTF_8);
        readOrRefuse(
                RawFile.insert(VALID, Math.floorMod(position, VALID.length + 1), inserted), piece + " at " + position);
    }

    @Test
    void everyChangedByteOfTheTensorsIsRefused() throws IOException {
        try (Scratch scratch = Scratch.open()) {
            Path folder = scratch.folder().resolve("a");
            ArtefactStore.save(folder, ArtefactStoreTest.artefact(1));
            Path file = folder.resolve("tensors.safetensors");
            byte[] bytes = Files.readAllBytes(file);
            for (int position = 0; position < bytes.length; position++) {
                bytes[position] ^= (byte) (1 << position % 8);
                scratch.write("a/tensors.safetensors", bytes);
                assertThatThrownBy(() -> ArtefactStore.load(folder))
                        .as("byte %d", position)
                        .isInstanceOf(ArtefactException.class);
                bytes[position] ^= (byte) (1 << position % 8);
            }
        }
    }

    private static boolean readOrRefuse(byte[] manifest, String mutation) {
        try {
            ArtefactManifest read = ArtefactManifest.parse(FILE, manifest);
            assertThat(read.bytes()).as(mutation).isNotNegative();
            return true;
        } catch (ArtefactException e) {
            assertThat(e.getMessage()).as(mutation).startsWith("manifest.json: manifest");
            return false;
        } catch (Exception e) {
            throw new AssertionError(mutation + " was answered with " + e, e);
        }
    }
}
