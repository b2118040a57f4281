package ai.winnow.benchmarks.compare;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * An ONNX model of one node, in the bytes of onnx.proto (protocol buffers' wire format): {@code x [rows, in]} and constants in, {@code
 * y [rows, out]} out.
 */
final class OnnxModel {

    static final int FLOAT = 1;
    static final int UINT8 = 2;
    static final int INT8 = 3;

    /** The type of an attribute that is a whole number. */
    private static final int INT = 2;

    private final Message graph = new Message();
    private final Message node = new Message();
    private final Message opsets = new Message();

    /** @param domain empty for ONNX's own operators */
    OnnxModel(String operator, String domain, int opset) {
        node.text(1, "x");
        node.text(4, operator);
        if (!domain.isEmpty()) {
            node.text(7, domain);
            opsets.message(8, new Message().text(1, domain).number(2, 1));
        }
        opsets.message(8, new Message().text(1, "").number(2, opset));
    }

    /** An input of the node that never changes. */
    OnnxModel constant(String name, int type, byte[] bytes, long... sizes) {
        node.text(1, name);
        Message tensor = new Message();
        for (long size : sizes) {
            tensor.number(1, size);
        }
        graph.message(5, tensor.number(2, type).text(8, name).bytes(9, bytes));
        return this;
    }

    /** A whole number that the operator asks for. */
    OnnxModel attribute(String name, long value) {
        node.message(5, new Message().text(1, name).number(3, value).number(20, INT));
        return this;
    }

    byte[] bytes(long rows, long in, long out) {
        graph.message(1, node.text(2, "y"));
        graph.text(2, "one");
        graph.message(11, value("x", rows, in));
        graph.message(12, value("y", rows, out));
        Message model = new Message().number(1, 8);
        model.message(7, graph);
        model.raw(opsets);
        return model.bytes();
    }

    private static Message value(String name, long... sizes) {
        Message shape = new Message();
        for (long size : sizes) {
            shape.message(1, new Message().number(1, size));
        }
        Message tensor = new Message().number(1, FLOAT).message(2, shape);
        return new Message().text(1, name).message(2, new Message().message(1, tensor));
    }

    /** Fields of one message, one after the other. A weight is kept as it came and copied once, at the end. */
    private static final class Message {
        private final List<byte[]> pieces = new ArrayList<>();
        private int length;

        Message number(int field, long value) {
            add(varint((long) field << 3));
            add(varint(value));
            return this;
        }

        Message text(int field, String value) {
            return bytes(field, value.getBytes(StandardCharsets.UTF_8));
        }

        Message bytes(int field, byte[] value) {
            return delimited(field, value.length, List.of(value));
        }

        Message message(int field, Message value) {
            return delimited(field, value.length, value.pieces);
        }

        private Message delimited(int field, int size, List<byte[]> value) {
            add(varint(((long) field << 3) | 2));
            add(varint(size));
            value.forEach(this::add);
            return this;
        }

        void raw(Message fields) {
            fields.pieces.forEach(this::add);
        }

        private void add(byte[] piece) {
            pieces.add(piece);
            length = Math.addExact(length, piece.length);
        }

        byte[] bytes() {
            ByteBuffer all = ByteBuffer.allocate(length);
            pieces.forEach(all::put);
            return all.array();
        }

        private static byte[] varint(long value) {
            byte[] bytes = new byte[10];
            int count = 0;
            long rest = value;
            while (rest >= 0x80) {
                bytes[count++] = (byte) ((rest & 0x7f) | 0x80);
                rest >>>= 7;
            }
            bytes[count++] = (byte) rest;
            return Arrays.copyOf(bytes, count);
        }
    }
}
