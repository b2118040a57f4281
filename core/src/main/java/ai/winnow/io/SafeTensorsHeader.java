package ai.winnow.io;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The checked header of one safetensors file. Once it exists, the byte ranges of its entries follow one another from
 * {@code dataStart} to the end of the file without holes, and each is as long as its spec says.
 *
 * @param dataStart where in the file the data section begins
 * @param fileBytes how long the file was
 * @param entries in the order of their bytes
 * @param metadata the texts under {@code __metadata__}
 */
record SafeTensorsHeader(
        Path file, long dataStart, long fileBytes, Map<String, Entry> entries, Map<String, String> metadata) {

    /** The longest header that the format's reference implementation reads. */
    static final long MAX_HEADER_BYTES = 100_000_000;

    /** The bytes that say how long the header is. */
    static final int LENGTH_BYTES = 8;

    static final String METADATA = "__metadata__";

    /** More axes than any tensor has; keeps a hostile shape from becoming millions of objects. */
    private static final int MAX_RANK = 64;

    /** {@code "version "}, with which a Git LFS pointer begins, as a header length. */
    private static final long GIT_LFS_POINTER = 0x206e6f6973726576L;

    /** A tensor and its bytes, {@code begin} to {@code end} of the data section. */
    record Entry(TensorSpec spec, long begin, long end) {
        long bytes() {
            return end - begin;
        }
    }

    /** Where in the file the bytes of {@code entry} begin. */
    long position(Entry entry) {
        return dataStart + entry.begin;
    }

    /**
     * Reads and checks the header.
     *
     * @throws ArtefactException if the file is anything but a whole safetensors file
     */
    static SafeTensorsHeader read(Path file, FileChannel channel) throws IOException {
        long fileBytes = channel.size();
        long headerBytes = headerBytes(file, channel, fileBytes);
        byte[] header = bytes(file, channel, LENGTH_BYTES, (int) headerBytes);
        if (headerBytes == 0 || header[0] != '{') {
            throw new ArtefactException(file + ": the header must begin with '{' at byte " + LENGTH_BYTES
                    + " of the file; this is not a safetensors file");
        }
        long dataStart = LENGTH_BYTES + headerBytes;
        SafeTensorsHeader parsed =
                StrictJson.parse(file, "header", header, LENGTH_BYTES, json -> parse(json, file, dataStart, fileBytes));
        return parsed.inOrder();
    }

    private static long headerBytes(Path file, FileChannel channel, long fileBytes) throws IOException {
        if (fileBytes == 0) {
            throw new ArtefactException(file + ": the file is empty; write or download it again");
        }
        if (fileBytes < LENGTH_BYTES) {
            throw new ArtefactException(file + ": truncated: a safetensors file begins with " + LENGTH_BYTES
                    + " bytes of header length, this file has " + fileBytes);
        }
        long headerBytes = ByteBuffer.wrap(bytes(file, channel, 0, LENGTH_BYTES))
                .order(ByteOrder.LITTLE_ENDIAN)
                .getLong(0);
        if (headerBytes == GIT_LFS_POINTER) {
            throw new ArtefactException(file + ": this is a Git LFS pointer, not the file; run 'git lfs pull'");
        }
        // A negative long is a length above 2^63.
        if (headerBytes < 0 || headerBytes > MAX_HEADER_BYTES) {
            throw new ArtefactException(file + ": byte 0: header length " + Long.toUnsignedString(headerBytes)
                    + " is above the limit of " + MAX_HEADER_BYTES + " bytes; this is not a safetensors file");
        }
        if (headerBytes > fileBytes - LENGTH_BYTES) {
            throw new ArtefactException(file + ": byte 0: header length " + headerBytes
                    + " goes beyond the file, which has " + (fileBytes - LENGTH_BYTES)
                    + " bytes after it; the file is truncated or not a safetensors file");
        }
        return headerBytes;
    }

    private static byte[] bytes(Path file, FileChannel channel, long position, int count) throws IOException {
        byte[] array = new byte[count];
        ByteBuffer bytes = ByteBuffer.wrap(array);
        while (bytes.hasRemaining()) {
            if (channel.read(bytes, position + bytes.position()) < 0) {
                throw new ArtefactException(
                        file + ": truncated while it was read: it ends at byte " + (position + bytes.position()));
            }
        }
        return array;
    }

    private static SafeTensorsHeader parse(StrictJson json, Path file, long dataStart, long fileBytes)
            throws IOException {
        Map<String, Entry> entries = new LinkedHashMap<>();
        Map<String, String> metadata = new LinkedHashMap<>();
        json.object("the header", name -> {
            if (name.equals(METADATA)) {
                metadata.putAll(json.texts(METADATA));
            } else {
                entries.put(name, entry(json, name, dataStart, fileBytes));
            }
        });
        return new SafeTensorsHeader(file, dataStart, fileBytes, entries, metadata);
    }

    /** The members of an entry as they are met, in any order. */
    private static final class Draft {
        @Nullable
        DType dtype;

        long @Nullable [] sizes;
        long @Nullable [] offsets;
    }

    private static Entry entry(StrictJson json, String name, long dataStart, long fileBytes) throws IOException {
        String tensor = "tensor " + Names.quoted(name);
        Draft draft = new Draft();
        json.object(tensor, key -> {
            switch (key) {
                case "dtype" -> draft.dtype = dtype(json, tensor);
                case "shape" -> draft.sizes = json.counts("shape of " + tensor, MAX_RANK);
                case "data_offsets" -> draft.offsets = json.counts("data_offsets of " + tensor, 2);
                default ->
                    throw json.bad(tensor + " has the unknown key " + Names.quoted(key)
                            + "; the format has dtype, shape and data_offsets");
            }
        });
        DType dtype = draft.dtype;
        long[] sizes = draft.sizes;
        long[] offsets = draft.offsets;
        if (dtype == null || sizes == null || offsets == null) {
            String missing = dtype == null ? "dtype" : sizes == null ? "shape" : "data_offsets";
            throw json.bad(tensor + " has no " + missing);
        }
        if (offsets.length != 2) {
            throw json.bad(
                    "data_offsets of " + tensor + " must be [begin, end], it has " + offsets.length + " elements");
        }
        return checked(json, tensor, TensorSpec.of(dtype, sizes), offsets[0], offsets[1], dataStart, fileBytes);
    }

    private static Entry checked(
            StrictJson json, String tensor, TensorSpec spec, long begin, long end, long dataStart, long fileBytes) {
        if (begin > end) {
            throw json.bad(tensor + ": data_offsets decrease from " + begin + " to " + end);
        }
        if (end > fileBytes - dataStart) {
            throw json.bad(tensor + ": data_offsets [" + begin + ", " + end + "] go beyond the data section of "
                    + (fileBytes - dataStart) + " bytes, which begins at byte " + dataStart
                    + " of the file; the file is "
                    + "truncated or damaged");
        }
        long expected;
        try {
            expected = spec.maxBytes();
        } catch (ShapeException e) {
            throw json.bad(tensor + ": " + spec + " is impossible: " + e.getMessage());
        }
        if (end - begin != expected) {
            throw json.bad(tensor + ": " + spec + " takes " + expected + " bytes, its data_offsets [" + begin + ", "
                    + end + "] at byte " + (dataStart + begin) + " of the file hold " + (end - begin));
        }
        return new Entry(spec, begin, end);
    }

    private static DType dtype(StrictJson json, String tensor) throws IOException {
        String name = json.text("dtype of " + tensor);
        for (DType dtype : DType.values()) {
            if (dtype.inFiles() && dtype.name().equals(name)) {
                return dtype;
            }
        }
        throw json.bad(tensor + " has the unknown dtype " + Names.quoted(name) + "; known: "
                + Arrays.stream(DType.values()).filter(DType::inFiles).toList());
    }

    /**
     * The same header with its entries in the order of their bytes, which older writers did not keep in the text.
     *
     * @throws ArtefactException if two of them overlap, or bytes belong to none: the format allows no place to hide data in
     */
    private SafeTensorsHeader inOrder() {
        List<Map.Entry<String, Entry>> sorted = new ArrayList<>(entries.entrySet());
        sorted.sort(Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin)
                .thenComparingLong(e -> e.getValue().end));
        Map<String, Entry> ordered = new LinkedHashMap<>();
        String before = "the header";
        long covered = 0;
        for (Map.Entry<String, Entry> next : sorted) {
            String tensor = "tensor " + Names.quoted(next.getKey());
            Entry entry = next.getValue();
            if (entry.begin < covered) {
                throw new ArtefactException(file + ": " + tensor + " begins at byte " + (dataStart + entry.begin)
                        + " of the file, inside " + before + ", which ends at byte " + (dataStart + covered)
                        + "; tensors must not overlap");
            }
            if (entry.begin > covered) {
                throw new ArtefactException(file + ": hole: bytes " + (dataStart + covered) + " to "
                        + (dataStart + entry.begin) + " of the file, between " + before + " and " + tensor
                        + ", belong to no tensor");
            }
            ordered.put(next.getKey(), entry);
            before = tensor;
            covered = entry.end;
        }
        if (dataStart + covered != fileBytes) {
            throw new ArtefactException(file + ": the last " + (fileBytes - dataStart - covered) + " bytes, from byte "
                    + (dataStart + covered) + " of the file on, belong to no tensor; last is " + before);
        }
        return new SafeTensorsHeader(
                file,
                dataStart,
                fileBytes,
                Collections.unmodifiableMap(ordered),
                Collections.unmodifiableMap(metadata));
    }
}
