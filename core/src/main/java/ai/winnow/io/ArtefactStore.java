package ai.winnow.io;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Artefacts on disk: a folder with {@code manifest.json} (what it is, with the length and the SHA-256 of the other file) and
 * {@code tensors.safetensors}. Data only, never code.
 */
public final class ArtefactStore {

    private static final Set<String> ARTEFACT_FILES = Set.of(ArtefactManifest.FILE_NAME, ArtefactManifest.TENSORS);

    private ArtefactStore() {}

    /**
     * Writes {@code artefact} as the folder {@code folder}, making the folders above it. An artefact that is there already is
     * replaced, and stays until the new one is complete.
     *
     * @throws ArtefactException if {@code folder} holds anything but an artefact, or the disk refuses; what was there is still there
     * @throws ai.winnow.ShapeException if a tensor is not row-major or not in host memory
     * @throws IllegalArgumentException if a text is not Unicode, or the manifest would exceed 1 MiB
     */
    public static void save(Path folder, Artefact artefact) {
        try {
            Path target = Files.exists(folder) ? folder.toRealPath() : folder.toAbsolutePath();
            requireReplaceable(target);
            Path parent = target.getParent();
            if (parent != null) {
                Files.createDirectories(parent);
            }
            Path staged = Staging.beside(target);
            try {
                Files.createDirectory(staged);
                write(staged, artefact);
                publish(staged, target);
            } finally {
                Staging.discard(staged);
            }
        } catch (IOException e) {
            throw Bounded.failed(folder, "save the artefact", e);
        }
    }

    /**
     * Reads the artefact in {@code folder} after checking its version, lengths and digests. Its tensors are read-only mappings of
     * the file in {@code Arena.ofAuto()}: they cost no heap and do not count against the limit on direct memory, and a later
     * {@link #save} to the same folder does not touch them.
     *
     * @throws ArtefactException if there is none, or it is damaged, or of an unknown version
     */
    public static Artefact load(Path folder) {
        try {
            if (!Files.isDirectory(folder)) {
                throw new ArtefactException(folder + ": there is no such artefact folder");
            }
            ArtefactManifest manifest = ArtefactManifest.read(folder.resolve(ArtefactManifest.FILE_NAME));
            Path file = folder.resolve(ArtefactManifest.TENSORS);
            return new Artefact(
                    manifest.method(),
                    manifest.parameters(),
                    manifest.modelFingerprint(),
                    manifest.dataFingerprint(),
                    manifest.createdAt(),
                    tensors(file, manifest));
        } catch (IOException e) {
            throw Bounded.failed(folder, "load the artefact", e);
        }
    }

    private static void write(Path staged, Artefact artefact) throws IOException {
        Path tensors = staged.resolve(ArtefactManifest.TENSORS);
        SafeTensorsWriter.write(tensors, artefact.tensors(), Map.of());
        ArtefactManifest manifest = new ArtefactManifest(
                artefact.method(),
                artefact.parameters(),
                artefact.modelFingerprint(),
                artefact.dataFingerprint(),
                artefact.createdAt(),
                Files.size(tensors),
                Fingerprint.sha256(tensors));
        byte[] json = StrictJson.encode(manifest.json());
        if (json.length > ArtefactManifest.MAX_BYTES) {
            throw new IllegalArgumentException("the manifest takes " + json.length + " bytes, allowed are "
                    + ArtefactManifest.MAX_BYTES + "; large data belong in tensors, not in parameters");
        }
        Staging.write(staged.resolve(ArtefactManifest.FILE_NAME), json);
    }

    /** A folder cannot be replaced in one step, so the old one steps aside first, and comes back if the new one cannot take its place. */
    private static void publish(Path staged, Path target) throws IOException {
        Path old = Files.exists(target) ? Staging.beside(target) : null;
        if (old != null) {
            Staging.publish(target, old);
        }
        try {
            Staging.publish(staged, target);
        } catch (IOException e) {
            restore(old, target, e);
            throw e;
        }
        if (old != null) {
            Staging.discard(old);
        }
    }

    private static void restore(@Nullable Path old, Path target, IOException e) {
        if (old != null) {
            try {
                Staging.publish(old, target);
            } catch (IOException again) {
                e.addSuppressed(new IOException("the artefact that was here is kept as " + old, again));
            }
        }
    }

    private static void requireReplaceable(Path target) throws IOException {
        if (!Files.exists(target)) {
            return;
        }
        if (!Files.isDirectory(target)) {
            throw new ArtefactException(target + " is a file; an artefact is a folder: choose another name");
        }
        try (Stream<Path> files = Files.list(target)) {
            Set<String> names = files.map(file -> file.getFileName().toString()).collect(Collectors.toSet());
            boolean artefact = names.contains(ArtefactManifest.FILE_NAME) && ARTEFACT_FILES.containsAll(names);
            if (!artefact && !names.isEmpty()) {
                throw new ArtefactException(
                        target + " holds files that are no artefact, and would be replaced; choose another folder");
            }
        }
    }

    private static void requireIntact(Path file, FileChannel channel, ArtefactManifest manifest) throws IOException {
        long bytes = channel.size();
        if (bytes != manifest.bytes()) {
            throw new ArtefactException(file + ": damaged: it has " + bytes + " bytes, the manifest says "
                    + manifest.bytes() + "; copy it again, or calibrate again");
        }
        String sha256 = Fingerprint.sha256(channel);
        if (!sha256.equals(manifest.sha256())) {
            throw new ArtefactException(file + ": damaged: its SHA-256 is " + sha256 + ", the manifest says "
                    + Names.clipped(manifest.sha256(), 64) + "; copy it again, or calibrate again");
        }
    }

    /** Checks and maps through one open file: a path could name another file from one moment to the next. */
    private static Map<String, Tensor> tensors(Path file, ArtefactManifest manifest) throws IOException {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        Arena arena = Arena.ofAuto();
        try (FileChannel channel = Bounded.open(file)) {
            requireIntact(file, channel, manifest);
            SafeTensors source = SafeTensors.of(file, channel);
            for (String name : source.names()) {
                tensors.put(name, source.load(name, arena));
            }
        }
        return tensors;
    }
}
