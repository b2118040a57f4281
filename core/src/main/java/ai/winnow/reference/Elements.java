package ai.winnow.reference;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A row-major operand as it is now: its varying axis has the size it has in this call. Numbers are read and written as f64,
 * which holds every readable element but the greatest I64 exactly: one f32 operation carried out in f64 and rounded once is the
 * f32 operation, and indices beyond 2^24 survive.
 */
record Elements(DType dtype, MemorySegment segment, int[] sizes) {

    static Elements input(Operands operands, int index) {
        return of(operands.input(index), operands.inRows(index));
    }

    static Elements output(Operands operands, int index) {
        return of(operands.output(index), operands.outRows(index));
    }

    private static Elements of(Tensor tensor, int rows) {
        Shape shape = tensor.shape();
        int[] sizes = new int[shape.rank()];
        for (int axis = 0; axis < sizes.length; axis++) {
            sizes[axis] = axis == 0 ? rows : Math.toIntExact(shape.max(axis));
        }
        return new Elements(tensor.dtype(), tensor.segment(), sizes);
    }

    double get(long index) {
        return switch (dtype) {
            case F64 -> segment.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, index * 8);
            case I64 -> segment.get(ValueLayout.JAVA_LONG_UNALIGNED, index * 8);
            case I32 -> segment.get(ValueLayout.JAVA_INT_UNALIGNED, index * 4);
            default -> dtype.getFloat(segment, index);
        };
    }

    /** Rounds floats to nearest even, truncates integers towards zero; a BOOL is whether {@code value} is not 0. */
    void set(long index, double value) {
        switch (dtype) {
            case F64 -> segment.set(ValueLayout.JAVA_DOUBLE_UNALIGNED, index * 8, value);
            case I64 -> segment.set(ValueLayout.JAVA_LONG_UNALIGNED, index * 8, (long) value);
            case I32 -> segment.set(ValueLayout.JAVA_INT_UNALIGNED, index * 4, (int) value);
            case BOOL -> segment.set(ValueLayout.JAVA_BYTE, index, (byte) (value != 0 ? 1 : 0));
            default -> dtype.setFloat(segment, index, (float) value);
        }
    }

    int rank() {
        return sizes.length;
    }

    /** Size of the last axis; of a scalar 1. */
    int last() {
        return sizes.length == 0 ? 1 : sizes[sizes.length - 1];
    }

    /** Product of the sizes of the axes {@code from} to {@code to} (exclusive). */
    long count(int from, int to) {
        long product = 1;
        for (int axis = from; axis < to; axis++) {
            product *= sizes[axis];
        }
        return product;
    }

    long count() {
        return count(0, sizes.length);
    }

    /** How far apart the elements of each axis lie. */
    long[] strides() {
        long[] strides = new long[sizes.length];
        for (int axis = 0; axis < sizes.length; axis++) {
            strides[axis] = count(axis + 1, sizes.length);
        }
        return strides;
    }

    /** Copies {@code count} elements bit for bit. */
    void copyFrom(long at, Elements source, long from, long count) {
        MemorySegment.copy(source.segment, dtype.bytes(from), segment, dtype.bytes(at), dtype.bytes(count));
    }
}
