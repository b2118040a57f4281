package ai.winnow.io;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.StringWriter;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a safetensors file tensor by tensor, in memory that does not grow with it. All tensors are declared first, because the
 * header comes first; then each is written, in the declared order, which is the order of the file. The file appears when the
 * writer is closed after the last tensor; until then, and if anything fails, there is only a hidden temporary file, which is
 * removed.
 *
 * <pre>{@code
 * try (SafeTensorsWriter writer = SafeTensorsWriter.create(file, specs, Map.of("format", "pt"))) {
 *     for (String name : specs.keySet()) {
 *         writer.write(name, compute(name));
 *     }
 * }
 * }</pre>
 *
 * <p>Declare types of wide elements before narrow ones: then every element lies at a multiple of its size, and readers can map it.
 *
 * @see <a href="https://github.com/huggingface/safetensors#format">The format</a>
 */
public final class SafeTensorsWriter implements AutoCloseable {

    /** The data section begins at a multiple of this, as in the files of the format's reference implementation. */
    private static final int ALIGNMENT = 8;

    private static final int CHUNK_BYTES = 1 << 24;

    private enum State {
        WRITING,
        FINISHED,
        ABORTED,
        PUBLISHED
    }

    private final Path file;
    private final Path staged;
    private final Map<String, TensorSpec> specs;
    private final List<String> names;
    private final FileChannel channel;
    private State state = State.WRITING;
    private int written;

    private SafeTensorsWriter(Path file, Path staged, Map<String, TensorSpec> specs, FileChannel channel) {
        this.file = file;
        this.staged = staged;
        this.specs = specs;
        this.names = List.copyOf(specs.keySet());
        this.channel = channel;
    }

    /**
     * Begins a file.
     *
     * @param specs all tensors that will be written, in this order; pass a map that keeps one
     * @param metadata texts to store under {@code __metadata__}
     * @throws ShapeException if a spec has rows that vary, or elements that do not fill whole bytes
     * @throws IllegalArgumentException if a name is not Unicode, or reserved by the format
     * @throws ArtefactException if the folder is missing or cannot be written to
     */
    public static SafeTensorsWriter create(Path file, Map<String, TensorSpec> specs, Map<String, String> metadata) {
        Map<String, TensorSpec> declared = new LinkedHashMap<>(specs);
        byte[] header = header(declared, metadata);
        Path staged = Staging.beside(file);
        try {
            FileChannel channel = FileChannel.open(staged, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            SafeTensorsWriter writer = new SafeTensorsWriter(file, staged, declared, channel);
            try {
                writer.write(ByteBuffer.allocate(SafeTensorsHeader.LENGTH_BYTES)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(header.length)
                        .flip());
                writer.write(ByteBuffer.wrap(header));
                return writer;
            } catch (IOException e) {
                writer.abort();
                throw e;
            }
        } catch (IOException e) {
            throw failed(file, e);
        }
    }

    /**
     * Writes a whole file, widest elements first (so that every element is aligned), otherwise in the map's order.
     *
     * @throws ShapeException if a tensor is not row-major, not in host memory, or has rows that vary
     * @throws ArtefactException if the file cannot be written
     */
    public static void write(Path file, Map<String, Tensor> tensors, Map<String, String> metadata) {
        List<Map.Entry<String, Tensor>> sorted = new ArrayList<>(tensors.entrySet());
        sorted.sort(Comparator.comparingInt(
                (Map.Entry<String, Tensor> e) -> -e.getValue().dtype().bits()));
        Map<String, TensorSpec> specs = new LinkedHashMap<>();
        sorted.forEach(entry -> specs.put(entry.getKey(), entry.getValue().spec()));
        try (SafeTensorsWriter writer = create(file, specs, metadata)) {
            sorted.forEach(entry -> writer.write(entry.getKey(), entry.getValue()));
        }
    }

    /**
     * Writes the next tensor. If this fails for any reason, the writer is aborted.
     *
     * @throws IllegalArgumentException if {@code name} is not the next declared tensor
     * @throws IllegalStateException if all are written, or the writer is closed or aborted
     * @throws ShapeException if the tensor is not what was declared, not row-major or not in host memory
     * @throws ArtefactException if the disk refuses
     */
    public void write(String name, Tensor tensor) {
        if (state != State.WRITING) {
            throw new IllegalStateException(file + " is already " + (state == State.ABORTED ? "aborted" : "closed"));
        }
        try {
            requireNext(name, tensor);
            write(tensor.segment(), tensor.spec().maxBytes());
            written++;
        } catch (IOException e) {
            abort();
            throw failed(file, e);
        } catch (RuntimeException e) {
            abort();
            throw e;
        }
    }

    /** Gives up: removes what was written. Does nothing after {@link #close}. */
    public void abort() {
        if (state == State.WRITING || state == State.FINISHED) {
            state = State.ABORTED;
            try {
                channel.close();
            } catch (IOException _) {
                // The file is thrown away.
            }
            Staging.discard(staged);
        }
    }

    /**
     * Forces the file to the disk and gives it its name, replacing an older file. Does nothing if the writer is aborted.
     *
     * @throws ArtefactException if tensors are missing, or the disk refuses; there is no new file then
     */
    @Override
    public void close() {
        if (state == State.WRITING) {
            finish();
        }
        if (state == State.FINISHED) {
            publish();
        }
    }

    /** Completes the temporary file. */
    void finish() {
        if (written < names.size()) {
            abort();
            throw new ArtefactException(file + " was not written: " + (names.size() - written) + " of " + names.size()
                    + " declared tensors are missing, the first is " + Names.quoted(names.get(written)));
        }
        try {
            channel.force(true);
            channel.close();
            state = State.FINISHED;
        } catch (IOException e) {
            abort();
            throw failed(file, e);
        }
    }

    /** Gives the completed file its name. */
    void publish() {
        try {
            Staging.publish(staged, file);
            state = State.PUBLISHED;
        } catch (IOException e) {
            abort();
            throw failed(file, e);
        }
    }

    private void requireNext(String name, Tensor tensor) {
        if (written == names.size()) {
            throw new IllegalStateException(file + ": all " + written
                    + " declared tensors are written, there is no room for " + Names.quoted(name));
        }
        String expected = names.get(written);
        if (!name.equals(expected)) {
            throw new IllegalArgumentException(file + ": tensors are written in the declared order; next is "
                    + Names.quoted(expected) + ", not " + Names.quoted(name));
        }
        TensorSpec declared = specs.get(name);
        if (!tensor.spec().equals(declared) || !tensor.layout().equals(Layout.ROW_MAJOR)) {
            throw new ShapeException(file + ": tensor " + Names.quoted(name) + " was declared as " + declared
                    + ", row-major, and is " + tensor.spec() + ", " + tensor.layout());
        }
    }

    private void write(MemorySegment segment, long bytes) throws IOException {
        for (long offset = 0; offset < bytes; offset += CHUNK_BYTES) {
            write(segment.asSlice(offset, Math.min(CHUNK_BYTES, bytes - offset)).asByteBuffer());
        }
    }

    private void write(ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private static byte[] header(Map<String, TensorSpec> specs, Map<String, String> metadata) {
        StringWriter text = new StringWriter();
        try (JsonWriter json = new JsonWriter(text)) {
            json.beginObject();
            if (!metadata.isEmpty()) {
                json.name(SafeTensorsHeader.METADATA).beginObject();
                for (Map.Entry<String, String> entry : metadata.entrySet()) {
                    json.name(entry.getKey()).value(entry.getValue());
                }
                json.endObject();
            }
            long end = 0;
            for (Map.Entry<String, TensorSpec> entry : specs.entrySet()) {
                end = entry(json, entry.getKey(), entry.getValue(), end);
            }
            json.endObject();
        } catch (IOException e) {
            throw new AssertionError("a StringWriter does not fail", e);
        }
        byte[] header = StrictJson.encode(text.toString() + " ".repeat(ALIGNMENT));
        int unpadded = header.length - ALIGNMENT;
        int padded = Math.ceilDiv(unpadded, ALIGNMENT) * ALIGNMENT;
        if (padded > SafeTensorsHeader.MAX_HEADER_BYTES) {
            throw new IllegalArgumentException("the header of " + specs.size() + " tensors takes " + padded
                    + " bytes, the format allows " + SafeTensorsHeader.MAX_HEADER_BYTES);
        }
        return Arrays.copyOf(header, padded);
    }

    private static long entry(JsonWriter json, String name, TensorSpec spec, long begin) throws IOException {
        if (name.equals(SafeTensorsHeader.METADATA)) {
            throw new IllegalArgumentException("the format reserves the name " + SafeTensorsHeader.METADATA);
        }
        if (!spec.dtype().inFiles()) {
            throw new ShapeException(name + ": the format has no type " + spec.dtype());
        }
        long end = Math.addExact(begin, spec.maxBytes());
        json.name(name).beginObject();
        json.name("dtype").value(spec.dtype().name());
        json.name("shape").beginArray();
        for (Dim dim : spec.shape().dims()) {
            if (dim instanceof Dim.AtMost) {
                throw new ShapeException("tensor " + Names.quoted(name) + " has rows that vary: " + spec
                        + "; a file holds fixed shapes only");
            }
            json.value(dim.max());
        }
        json.endArray();
        json.name("data_offsets").beginArray().value(begin).value(end).endArray();
        json.endObject();
        return end;
    }

    private static ArtefactException failed(Path file, IOException e) {
        return new ArtefactException(file + ": cannot write the file: " + e, e);
    }
}
