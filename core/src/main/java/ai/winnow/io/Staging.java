package ai.winnow.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Files and folders that appear whole or not at all: written under a temporary name in the folder they are meant for (a rename
 * works only within one file system), forced to the disk, then renamed.
 */
final class Staging {

    private Staging() {}

    /** A name beside {@code target} that nothing has yet. */
    static Path beside(Path target) {
        return target.toAbsolutePath().resolveSibling(".winnow-" + UUID.randomUUID() + ".tmp");
    }

    /** Renames {@code staged} to {@code target}; a file that has the name is replaced. */
    static void publish(Path staged, Path target) throws IOException {
        Files.move(staged, target, StandardCopyOption.ATOMIC_MOVE);
        syncFolder(target.toAbsolutePath().getParent());
    }

    /** Writes a small file and forces it to the disk. */
    static void write(Path file, byte[] bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
            channel.force(true);
        }
    }

    /** Removes a file, or a folder with its files, as far as that is possible. */
    static void discard(Path path) {
        try {
            if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
                List<Path> files;
                try (Stream<Path> listed = Files.list(path)) {
                    files = listed.toList();
                }
                for (Path file : files) {
                    Files.deleteIfExists(file);
                }
            }
            Files.deleteIfExists(path);
        } catch (IOException _) {
            // What led here is the error to report; a hidden temporary name that stays behind is not worth hiding it.
        }
    }

    /** Makes a rename survive a power failure, where the system can (Windows cannot open a folder). */
    private static void syncFolder(@Nullable Path folder) {
        if (folder == null) {
            return;
        }
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException _) {
            // The rename itself has succeeded.
        }
    }
}
