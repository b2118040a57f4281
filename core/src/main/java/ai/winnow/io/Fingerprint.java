package ai.winnow.io;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * Says whether two things are the same: the first 16 hex digits of a SHA-256. Enough to tell models and calibration data apart by
 * accident, not against an attacker.
 *
 * <p>An instance collects several parts; each is set off from the next, so that {@code "ab", "c"} and {@code "a", "bc"} differ.
 */
public final class Fingerprint {

    /** How many hex digits a fingerprint has. */
    public static final int LENGTH = 16;

    private static final int CHUNK_BYTES = 1 << 20;

    private final MessageDigest digest = sha256();

    /** The fingerprint of {@code text} in UTF-8: what {@code sha256sum} prints first. */
    public static String ofText(String text) {
        return shortened(sha256().digest(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** The fingerprint of a sequence of texts, such as calibration data. */
    public static String ofTexts(Iterable<String> texts) {
        Fingerprint fingerprint = new Fingerprint();
        texts.forEach(fingerprint::add);
        return fingerprint.hex();
    }

    /**
     * The fingerprint of the bytes of {@code file}: what {@code sha256sum} prints first.
     *
     * @throws ArtefactException if it cannot be read
     */
    public static String ofFile(Path file) {
        return sha256(file).substring(0, LENGTH);
    }

    /** The fingerprint of a tensor in host memory: its spec, its layout and all its bytes. */
    public static String ofTensor(Tensor tensor) {
        return new Fingerprint().add(tensor).hex();
    }

    public Fingerprint add(String text) {
        return add(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }

    public Fingerprint add(long number) {
        digest.update(ByteBuffer.allocate(Long.BYTES).putLong(number).flip());
        return this;
    }

    /** Adds spec, layout and all bytes of a tensor in host memory. */
    public Fingerprint add(Tensor tensor) {
        add(tensor.spec().toString()).add(tensor.layout().toString());
        long bytes = tensor.layout().bytes(tensor.spec());
        MemorySegment segment = tensor.segment();
        for (long offset = 0; offset < bytes; offset += CHUNK_BYTES) {
            digest.update(segment.asSlice(offset, Math.min(CHUNK_BYTES, bytes - offset))
                    .asByteBuffer());
        }
        return this;
    }

    /** The fingerprint of what was added so far, in {@value #LENGTH} hex digits. */
    public String hex() {
        try {
            return shortened(((MessageDigest) digest.clone()).digest());
        } catch (CloneNotSupportedException e) {
            throw new AssertionError("the JDK's SHA-256 can be cloned", e);
        }
    }

    Fingerprint add(ByteBuffer bytes) {
        add((long) bytes.remaining());
        digest.update(bytes);
        return this;
    }

    /** All 64 digits of the SHA-256 of a file. */
    static String sha256(Path file) {
        try (FileChannel channel = Bounded.open(file)) {
            return sha256(channel);
        } catch (IOException e) {
            throw Bounded.failed(file, "read", e);
        }
    }

    /** All 64 digits of the SHA-256 of an open file, from its first byte. */
    static String sha256(FileChannel channel) throws IOException {
        MessageDigest digest = sha256();
        ByteBuffer chunk = ByteBuffer.allocate(CHUNK_BYTES);
        for (long position = 0; channel.read(chunk, position) >= 0; chunk.clear()) {
            position += chunk.position();
            digest.update(chunk.flip());
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static String shortened(byte[] digest) {
        return HexFormat.of().formatHex(digest, 0, LENGTH / 2);
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }
}
