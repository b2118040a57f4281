package ai.winnow.io;

import ai.winnow.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Safetensors files put together byte by byte, without the code under test. */
final class RawFile {

    private RawFile() {}

    /** A file with this header and {@code dataBytes} bytes of data: 0, 1, 2, … */
    static byte[] of(String header, int dataBytes) {
        byte[] data = new byte[dataBytes];
        for (int i = 0; i < dataBytes; i++) {
            data[i] = (byte) i;
        }
        return of(header.getBytes(StandardCharsets.UTF_8), data);
    }

    static byte[] of(byte[] header, byte[] data) {
        return ByteBuffer.allocate(8 + header.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length)
                .put(header)
                .put(data)
                .array();
    }

    /** {@code bytes} with another header length. */
    static byte[] withHeaderLength(byte[] bytes, long length) {
        byte[] changed = bytes.clone();
        ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
        return changed;
    }

    static byte[] insert(byte[] bytes, int position, byte[] inserted) {
        byte[] changed = Arrays.copyOf(bytes, bytes.length + inserted.length);
        System.arraycopy(inserted, 0, changed, position, inserted.length);
        System.arraycopy(bytes, position, changed, position + inserted.length, bytes.length - position);
        return changed;
    }

    /** The bytes of a row-major tensor. */
    static byte[] bytesOf(Tensor tensor) {
        return tensor.segment().asSlice(0, tensor.spec().maxBytes()).toArray(ValueLayout.JAVA_BYTE);
    }
}
