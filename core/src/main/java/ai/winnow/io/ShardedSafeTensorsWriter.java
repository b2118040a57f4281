package ai.winnow.io;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Writes a checkpoint as Hugging Face does: {@code model-00001-of-00003.safetensors}, … and
 * {@code model.safetensors.index.json}, or {@code model.safetensors} alone if one file is enough. Works like
 * {@link SafeTensorsWriter}: tensors are declared first, written in the declared order, and the files appear at the end, the index
 * last.
 */
public final class ShardedSafeTensorsWriter implements AutoCloseable {

    private static final String SINGLE = "model.safetensors";

    private final Path folder;
    private final boolean ownsFolder;
    private final List<Map<String, TensorSpec>> parts;
    private final Map<String, String> metadata;
    private final List<SafeTensorsWriter> writers = new ArrayList<>();
    private int writtenInPart;
    private boolean done;

    private ShardedSafeTensorsWriter(
            Path folder, boolean ownsFolder, List<Map<String, TensorSpec>> parts, Map<String, String> metadata) {
        this.folder = folder;
        this.ownsFolder = ownsFolder;
        this.parts = parts;
        this.metadata = new LinkedHashMap<>(metadata);
    }

    /**
     * Begins a checkpoint.
     *
     * @param folder is made if it is missing; must not hold a checkpoint yet
     * @param specs all tensors that will be written, in this order; pass a map that keeps one
     * @param metadata texts to store in every file
     * @param maxShardBytes a file that holds more than one tensor has at most this many bytes of data
     * @throws ArtefactException if the folder holds a checkpoint or cannot be written to
     * @throws IllegalArgumentException as {@link SafeTensorsWriter#create} does
     */
    public static ShardedSafeTensorsWriter create(
            Path folder, Map<String, TensorSpec> specs, Map<String, String> metadata, long maxShardBytes) {
        if (maxShardBytes <= 0) {
            throw new IllegalArgumentException("maxShardBytes must be positive: " + maxShardBytes);
        }
        for (String name : List.of(SINGLE, SafeTensorsIndex.FILE_NAME)) {
            if (Files.exists(folder.resolve(name))) {
                throw new ArtefactException(
                        folder.resolve(name)
                                + " exists; old and new files in one folder would contradict each other: write to another folder");
            }
        }
        List<Map<String, TensorSpec>> parts = split(specs, maxShardBytes);
        boolean ownsFolder = !Files.exists(folder);
        try {
            Files.createDirectories(folder);
        } catch (IOException e) {
            throw Bounded.failed(folder, "make the folder", e);
        }
        ShardedSafeTensorsWriter writer = new ShardedSafeTensorsWriter(folder, ownsFolder, parts, metadata);
        writer.guarded(writer::begin);
        return writer;
    }

    /**
     * Writes the next tensor. If this fails for any reason, the writer is aborted.
     *
     * @throws IllegalStateException if all are written, or the writer is closed or aborted
     * @throws RuntimeException as {@link SafeTensorsWriter#write(String, Tensor)} does
     */
    public void write(String name, Tensor tensor) {
        if (done) {
            throw new IllegalStateException(folder + ": the checkpoint is already closed or aborted");
        }
        guarded(() -> {
            if (writtenInPart == parts.get(writers.size() - 1).size() && writers.size() < parts.size()) {
                writers.getLast().finish();
                begin();
            }
            writers.getLast().write(name, tensor);
            writtenInPart++;
        });
    }

    /** Gives up: removes everything that was written. Does nothing after {@link #close}. */
    public void abort() {
        if (!done) {
            done = true;
            writers.forEach(SafeTensorsWriter::abort);
            if (ownsFolder && isEmpty(folder)) {
                Staging.discard(folder);
            }
        }
    }

    /**
     * Gives all files their names. Does nothing if the writer is aborted.
     *
     * @throws ArtefactException if tensors are missing, or the disk refuses; there is no checkpoint then
     */
    @Override
    public void close() {
        if (!done) {
            guarded(() -> {
                writers.getLast().finish();
                if (writers.size() < parts.size()) {
                    throw new ArtefactException(
                            folder + ": the checkpoint was not written: tensors are missing, the first is "
                                    + Names.quoted(parts.get(writers.size())
                                            .keySet()
                                            .iterator()
                                            .next()));
                }
                publish();
            });
            done = true;
        }
    }

    private void begin() {
        int part = writers.size();
        writers.add(SafeTensorsWriter.create(folder.resolve(fileName(part)), parts.get(part), metadata));
        writtenInPart = 0;
    }

    private void publish() {
        List<Path> published = new ArrayList<>();
        Path index = folder.resolve(SafeTensorsIndex.FILE_NAME);
        Path staged = Staging.beside(index);
        try {
            for (SafeTensorsWriter writer : writers) {
                writer.publish();
                published.add(folder.resolve(fileName(published.size())));
            }
            if (parts.size() > 1) {
                Staging.write(staged, StrictJson.encode(index()));
                Staging.publish(staged, index);
            }
        } catch (RuntimeException e) {
            published.forEach(Staging::discard);
            throw e;
        } catch (IOException e) {
            published.forEach(Staging::discard);
            Staging.discard(staged);
            throw Bounded.failed(index, "write", e);
        }
    }

    private String index() throws IOException {
        StringWriter text = new StringWriter();
        try (JsonWriter json = new JsonWriter(text)) {
            json.setIndent("  ");
            json.beginObject();
            long total = parts.stream()
                    .flatMap(part -> part.values().stream())
                    .mapToLong(TensorSpec::maxBytes)
                    .sum();
            json.name("metadata").beginObject().name("total_size").value(total).endObject();
            json.name("weight_map").beginObject();
            for (int part = 0; part < parts.size(); part++) {
                for (String name : parts.get(part).keySet()) {
                    json.name(name).value(fileName(part));
                }
            }
            json.endObject().endObject();
        }
        return text.toString();
    }

    private String fileName(int part) {
        return parts.size() == 1
                ? SINGLE
                : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", part + 1, parts.size());
    }

    private void guarded(Runnable step) {
        try {
            step.run();
        } catch (RuntimeException e) {
            abort();
            throw e;
        }
    }

    private static List<Map<String, TensorSpec>> split(Map<String, TensorSpec> specs, long maxShardBytes) {
        List<Map<String, TensorSpec>> parts = new ArrayList<>();
        Map<String, TensorSpec> part = new LinkedHashMap<>();
        long bytes = 0;
        for (Map.Entry<String, TensorSpec> entry : specs.entrySet()) {
            long more = entry.getValue().maxBytes();
            if (!part.isEmpty() && bytes > maxShardBytes - more) {
                parts.add(part);
                part = new LinkedHashMap<>();
                bytes = 0;
            }
            part.put(entry.getKey(), entry.getValue());
            bytes = Math.addExact(bytes, more);
        }
        parts.add(part);
        return parts;
    }

    private static boolean isEmpty(Path folder) {
        try (var files = Files.list(folder)) {
            return files.findAny().isEmpty();
        } catch (IOException e) {
            return false;
        }
    }
}
