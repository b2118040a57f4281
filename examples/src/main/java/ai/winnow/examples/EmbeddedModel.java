package ai.winnow.examples;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The real model that comes with the examples, babyllama-tok361, as a folder that can be loaded: resources lie in a jar, and
 * safetensors are mapped from files. Closing it removes the folder.
 */
final class EmbeddedModel implements AutoCloseable {

    private static final String NAME = "babyllama-tok361";
    private static final List<String> FILES =
            List.of("config.json", "model.safetensors", "tokenizer.json", "SOURCE.txt");

    private final Path folder;

    private EmbeddedModel(Path folder) {
        this.folder = folder;
    }

    static EmbeddedModel unpack() {
        try {
            Path folder = Files.createTempDirectory("winnow-" + NAME);
            EmbeddedModel model = new EmbeddedModel(folder);
            for (String file : FILES) {
                try (InputStream in = resource(NAME + "/" + file)) {
                    Files.copy(in, folder.resolve(file));
                } catch (IOException | RuntimeException e) {
                    model.close();
                    throw e;
                }
            }
            return model;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot unpack the model into the temporary folder", e);
        }
    }

    static InputStream resource(String name) {
        InputStream in = EmbeddedModel.class.getResourceAsStream("/" + name);
        if (in == null) {
            throw new IllegalStateException("the examples were packed without their resource " + name);
        }
        return in;
    }

    Path folder() {
        return folder;
    }

    @Override
    public void close() {
        try (var files = Files.walk(folder)) {
            for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot remove " + folder, e);
        }
    }
}
