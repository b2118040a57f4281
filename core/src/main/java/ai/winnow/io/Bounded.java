package ai.winnow.io;

import ai.winnow.ArtefactException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;

/** Opens and reads files that may be missing, something else than a file, or far too long. */
final class Bounded {

    private Bounded() {}

    /**
     * Opens {@code file} for reading.
     *
     * @throws ArtefactException if there is none, or it is a folder, a pipe or a device, on which reading could wait for ever
     */
    static FileChannel open(Path file) throws IOException {
        requireRegular(file);
        return FileChannel.open(file, StandardOpenOption.READ);
    }

    /**
     * All bytes of {@code file}.
     *
     * @throws ArtefactException if it has more than {@code most}, or as for {@link #open}
     */
    static byte[] read(Path file, long most) throws IOException {
        long size = requireRegular(file).size();
        if (size > most) {
            throw new ArtefactException(file + ": " + size + " bytes are above the limit of " + most + " bytes");
        }
        try (InputStream in = Files.newInputStream(file)) {
            return in.readNBytes((int) size);
        }
    }

    /** The sentence for an error of the file system. */
    static ArtefactException failed(Path file, String doing, IOException e) {
        if (e instanceof NoSuchFileException missing) {
            String name = missing.getFile() == null ? file.toString() : missing.getFile();
            return new ArtefactException(name + ": there is no such file", e);
        }
        return new ArtefactException(file + ": cannot " + doing + ": " + e, e);
    }

    private static BasicFileAttributes requireRegular(Path file) throws IOException {
        BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
        if (!attributes.isRegularFile()) {
            throw new ArtefactException(file + ": this is "
                    + (attributes.isDirectory() ? "a folder" : "a pipe or device") + ", not a file");
        }
        return attributes;
    }
}
