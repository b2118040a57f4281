package ai.winnow.io;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Storage;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A checkpoint in the safetensors format: one file, or the shards that Hugging Face's index file lists. The header of every file
 * is read and checked when it is opened; tensors are mapped one by one when they are asked for. The files must not be changed
 * while tensors are mapped; replacing them by new ones (a rename) is fine.
 *
 * <p>Safe for use by several threads. An interrupt of a thread that reads closes the source for all, as it does with every
 * {@link FileChannel}.
 *
 * @see <a href="https://github.com/huggingface/safetensors#format">The format</a>, whose rules are all enforced; beyond them,
 *     unknown keys and duplicate names are refused
 */
public final class SafeTensors implements TensorSource {

    private static final String SINGLE = "model.safetensors";

    /** How many bytes of each tensor the fingerprint looks at: this many blocks, evenly spread. */
    private static final int SAMPLE_BLOCKS = 32;

    private static final int SAMPLE_BLOCK_BYTES = 64;

    /** An open file. */
    private record Shard(FileChannel channel, SafeTensorsHeader header) {}

    private record Place(Shard shard, SafeTensorsHeader.Entry entry) {
        Path file() {
            return shard.header.file();
        }

        long position() {
            return shard.header.position(entry);
        }
    }

    private final Path path;
    private final List<Shard> shards;
    private final Map<String, Place> places = new LinkedHashMap<>();
    private final Map<String, String> metadata;
    private volatile @Nullable String fingerprint;

    private SafeTensors(Path path, List<Shard> shards) {
        this.path = path;
        this.shards = List.copyOf(shards);
        Map<String, String> common =
                new LinkedHashMap<>(shards.getFirst().header.metadata());
        for (Shard shard : shards) {
            shard.header.entries().forEach((name, entry) -> places.put(name, new Place(shard, entry)));
            common.entrySet().retainAll(shard.header.metadata().entrySet());
        }
        this.metadata = Collections.unmodifiableMap(common);
    }

    /**
     * Opens a {@code .safetensors} file, or a folder with {@code model.safetensors} or, if that is missing,
     * {@code model.safetensors.index.json} and its shards.
     *
     * @throws ArtefactException if anything is missing, damaged or contradictory; the message names file, tensor and place
     */
    public static SafeTensors open(Path path) {
        List<Shard> shards = new ArrayList<>();
        try {
            if (!Files.isDirectory(path)) {
                shards.add(shard(path));
            } else if (Files.exists(path.resolve(SINGLE))) {
                shards.add(shard(path.resolve(SINGLE)));
            } else if (Files.exists(path.resolve(SafeTensorsIndex.FILE_NAME))) {
                openShards(path, shards);
            } else {
                throw new ArtefactException(path + ": the folder has neither " + SINGLE + " nor "
                        + SafeTensorsIndex.FILE_NAME + otherFiles(path));
            }
            return new SafeTensors(path, shards);
        } catch (RuntimeException e) {
            close(shards);
            throw e;
        } catch (IOException e) {
            close(shards);
            throw Bounded.failed(path, "read", e);
        }
    }

    /** The single file {@code file} that is open as {@code channel}, which from now on is closed with the source. */
    static SafeTensors of(Path file, FileChannel channel) throws IOException {
        return new SafeTensors(file, List.of(shard(file, channel)));
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(places.keySet());
    }

    @Override
    public @Nullable TensorSpec spec(String name) {
        Place place = places.get(name);
        return place == null ? null : place.entry.spec();
    }

    /** The texts under {@code __metadata__}; of several shards, those that are the same in all. */
    public Map<String, String> metadata() {
        return metadata;
    }

    @Override
    public Tensor load(String name, Arena arena) {
        Place place = places.get(name);
        if (place == null) {
            throw new ArtefactException(
                    path + ": there is no tensor " + Names.quoted(name) + "; " + Names.instead(name, places.keySet()));
        }
        TensorSpec spec = place.entry.spec();
        try {
            requireUnchanged(place);
            long elementBytes = Math.max(1, spec.dtype().bits() / 8);
            if (place.entry.bytes() == 0 || place.position() % elementBytes != 0) {
                return copy(place, arena);
            }
            MemorySegment mapped = map(place, arena);
            return view(Storage.wrap(mapped, arena).segment(), spec);
        } catch (IOException e) {
            throw failed(place, name, e);
        }
    }

    @Override
    public String fingerprint() {
        String known = fingerprint;
        if (known == null) {
            Fingerprint digest = new Fingerprint();
            for (String name : new TreeSet<>(places.keySet())) {
                Place place = Objects.requireNonNull(places.get(name));
                digest.add(name).add(place.entry.spec().toString());
                try {
                    sample(place, digest);
                } catch (IOException e) {
                    throw failed(place, name, e);
                }
            }
            known = digest.hex();
            fingerprint = known;
        }
        return known;
    }

    @Override
    public void close() {
        close(shards);
    }

    @Override
    public String toString() {
        return path + " (" + places.size() + " tensors in " + shards.size()
                + (shards.size() == 1 ? " file)" : " files)");
    }

    /** Elements that do not lie at multiples of their size (the format does not ask for it) would be slow to read, or refused. */
    private static Tensor copy(Place place, Arena arena) throws IOException {
        Tensor tensor = Tensor.allocate(arena, place.entry.spec(), Layout.ROW_MAJOR);
        if (place.entry.bytes() > 0) {
            try (Arena passing = Arena.ofConfined()) {
                tensor.segment().copyFrom(map(place, passing));
            }
        }
        return view(tensor.segment(), place.entry.spec());
    }

    /** Read-only, because writing to the mapping of a file opened for reading would kill the process. */
    private static Tensor view(MemorySegment segment, TensorSpec spec) {
        return Tensor.wrap(segment.asReadOnly(), spec);
    }

    private static MemorySegment map(Place place, Arena arena) throws IOException {
        try {
            return place.shard.channel.map(FileChannel.MapMode.READ_ONLY, place.position(), place.entry.bytes(), arena);
        } catch (UnsupportedOperationException e) {
            throw new ArtefactException(
                    place.file() + ": this file system cannot map files into memory; copy the file to a disk", e);
        }
    }

    /** A file that shrank would be mapped beyond its end, where reading kills the process or the thread. */
    private static void requireUnchanged(Place place) throws IOException {
        long size = place.shard.channel.size();
        if (size != place.shard.header.fileBytes()) {
            throw new ArtefactException(place.file() + ": the file changed while it was open: it had "
                    + place.shard.header.fileBytes() + " bytes and has " + size + " now; open it again");
        }
    }

    private static void sample(Place place, Fingerprint digest) throws IOException {
        requireUnchanged(place);
        long bytes = place.entry.bytes();
        int blocks = bytes <= SAMPLE_BLOCKS * SAMPLE_BLOCK_BYTES ? 1 : SAMPLE_BLOCKS;
        ByteBuffer block = ByteBuffer.allocate(blocks == 1 ? (int) bytes : SAMPLE_BLOCK_BYTES);
        for (int i = 0; i < blocks; i++) {
            // The first block begins at the first byte, the last one ends at the last.
            long offset = blocks == 1 ? 0 : (bytes - SAMPLE_BLOCK_BYTES) / (blocks - 1) * i;
            offset = i > 0 && i == blocks - 1 ? bytes - SAMPLE_BLOCK_BYTES : offset;
            block.clear();
            while (block.hasRemaining()) {
                long position = place.position() + offset + block.position();
                if (place.shard.channel.read(block, position) < 0) {
                    throw new ArtefactException(place.file() + ": truncated while it was read, at byte " + position);
                }
            }
            digest.add(block.flip());
        }
    }

    private static Shard shard(Path file) throws IOException {
        try {
            return shard(file, Bounded.open(file));
        } catch (IOException e) {
            throw Bounded.failed(file, "read", e);
        }
    }

    private static Shard shard(Path file, FileChannel channel) throws IOException {
        try {
            return new Shard(channel, SafeTensorsHeader.read(file, channel));
        } catch (RuntimeException | IOException e) {
            channel.close();
            throw e;
        }
    }

    private static void openShards(Path folder, List<Shard> shards) throws IOException {
        SafeTensorsIndex index = SafeTensorsIndex.read(folder.resolve(SafeTensorsIndex.FILE_NAME));
        int found = 0;
        for (String name : index.shards()) {
            Path file = folder.resolve(name);
            if (!Files.exists(file)) {
                throw new ArtefactException(file + ": this shard is missing, but " + index.file() + " lists it");
            }
            Shard shard = shard(file);
            shards.add(shard);
            for (String tensor : shard.header.entries().keySet()) {
                String listed = index.weightMap().get(tensor);
                if (!name.equals(listed)) {
                    throw new ArtefactException(file + ": tensor " + Names.quoted(tensor) + " lies here, but "
                            + index.file() + (listed == null ? " does not list it" : " says it lies in " + listed));
                }
                found++;
            }
        }
        // Every tensor of every shard is listed for that shard, so fewer of them means that listed ones are missing.
        if (found < index.weightMap().size()) {
            Map<String, Shard> byName = shards.stream()
                    .collect(Collectors.toMap(s -> s.header.file().getFileName().toString(), s -> s));
            index.weightMap().forEach((tensor, shard) -> {
                Shard holder = Objects.requireNonNull(byName.get(shard));
                if (!holder.header.entries().containsKey(tensor)) {
                    throw new ArtefactException(holder.header.file() + ": tensor " + Names.quoted(tensor)
                            + " is missing, but " + index.file() + " says it lies here");
                }
            });
        }
    }

    private static String otherFiles(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            List<String> names = files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".safetensors"))
                    .sorted()
                    .limit(3)
                    .toList();
            return names.isEmpty() ? "" : "; open one of its files instead: " + String.join(", ", names);
        }
    }

    private static RuntimeException failed(Place place, String name, IOException e) {
        String tensor = "tensor " + Names.quoted(name) + " at byte " + place.position();
        if (e instanceof ClosedByInterruptException) {
            return new ArtefactException(
                    place.file() + ": the thread was interrupted while it read " + tensor + "; open the file again", e);
        }
        if (e instanceof ClosedChannelException) {
            return new IllegalStateException(place.file() + " is closed; load " + tensor + " before closing it", e);
        }
        return Bounded.failed(place.file(), "read " + tensor, e);
    }

    private static void close(List<Shard> shards) {
        for (Shard shard : shards) {
            try {
                shard.channel.close();
            } catch (IOException _) {
                // Nothing was written through it: there is nothing to lose.
            }
        }
    }
}
