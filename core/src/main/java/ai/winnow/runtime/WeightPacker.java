package ai.winnow.runtime;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * Brings a weight from the form of its file into the form that its kernels read: other element type, other layout. Refuses
 * numbers that are not finite, so that kernels need not look.
 */
final class WeightPacker {

    /** Rows and columns of the blocks in which matrices are transposed: small enough that source and target stay in L1. */
    private static final int BLOCK = 64;

    private WeightPacker() {}

    /**
     * Fills {@code target} from the row-major {@code source} of the same shape.
     *
     * @throws ArtefactException if the source holds a number that is not finite
     */
    static void pack(String name, Tensor source, Tensor target) {
        if (!source.shape().equals(target.shape())) {
            throw new ShapeException(name + ": expected " + target.spec() + ", found " + source.spec());
        }
        switch (target.layout()) {
            case Layout.Dense dense -> {
                boolean transpose = dense.order() == Order.COLUMN_MAJOR;
                int rows = transpose ? size(source, 0) : 1;
                long columns = transpose ? size(source, 1) : source.shape().maxElements();
                if (transpose) {
                    transpose(name, source, target, rows, (int) columns);
                } else {
                    convert(name, source, target, columns);
                }
            }
            case Layout.ScaledRows scaled -> quantise(name, source, target, scaled.order());
            case Layout.ScaledGroups groups -> GroupQuantiser.pack(name, source, target, groups);
            case Layout.Sparse sparse -> sparse.compress(name, source, target);
        }
    }

    private static int size(Tensor tensor, int axis) {
        return Math.toIntExact(tensor.shape().max(axis));
    }

    private static void convert(String name, Tensor source, Tensor target, long count) {
        int chunks = Math.toIntExact((count + CHUNK - 1) / CHUNK);
        IntStream.range(0, chunks).parallel().forEach(chunk -> {
            long from = (long) chunk * CHUNK;
            copyRun(name, source, from, 1, target, from, (int) Math.min(CHUNK, count - from));
        });
    }

    private static final int CHUNK = 1 << 16;

    private static void transpose(String name, Tensor source, Tensor target, int rows, int columns) {
        IntStream.range(0, (columns + BLOCK - 1) / BLOCK).parallel().forEach(block -> {
            int from = block * BLOCK;
            int to = Math.min(columns, from + BLOCK);
            for (int top = 0; top < rows; top += BLOCK) {
                int count = Math.min(BLOCK, rows - top);
                for (int column = from; column < to; column++) {
                    copyRun(
                            name,
                            source,
                            (long) top * columns + column,
                            columns,
                            target,
                            (long) column * rows + top,
                            count);
                }
            }
        });
    }

    /** {@code target[to + i] = source[from + i * step]}; one loop a pair of types, since this touches every byte of a model. */
    private static void copyRun(String name, Tensor source, long from, int step, Tensor target, long to, int count) {
        MemorySegment in = source.segment();
        MemorySegment out = target.segment();
        boolean finite =
                switch (source.dtype()) {
                    case BF16 ->
                        target.dtype() == DType.BF16
                                ? copyShorts(in, from, step, out, to, count, 0x7f80)
                                : widen(in, from, step, out, to, count, target.dtype());
                    case F16 ->
                        target.dtype() == DType.F16
                                ? copyShorts(in, from, step, out, to, count, 0x7c00)
                                : copyAny(source.dtype(), in, from, step, target.dtype(), out, to, count);
                    case F32 ->
                        target.dtype() == DType.F32
                                ? copyFloats(in, from, step, out, to, count)
                                : copyAny(source.dtype(), in, from, step, target.dtype(), out, to, count);
                    default -> copyAny(source.dtype(), in, from, step, target.dtype(), out, to, count);
                };
        if (!finite) {
            long at = 0;
            while (Float.isFinite(target.dtype().getFloat(out, to + at))) {
                at++;
            }
            throw notFinite(name, from + at * step, source.dtype(), target.dtype());
        }
    }

    private static boolean copyShorts(
            MemorySegment in, long from, int step, MemorySegment out, long to, int count, int exponent) {
        int worst = 0;
        for (int i = 0; i < count; i++) {
            short bits = in.get(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * (from + (long) i * step));
            worst = Math.max(worst, bits & exponent);
            out.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * (to + i), bits);
        }
        return worst < exponent;
    }

    private static boolean copyFloats(MemorySegment in, long from, int step, MemorySegment out, long to, int count) {
        int worst = 0;
        for (int i = 0; i < count; i++) {
            int bits = in.get(ValueLayout.JAVA_INT_UNALIGNED, 4 * (from + (long) i * step));
            worst = Math.max(worst, bits & 0x7f800000);
            out.set(ValueLayout.JAVA_INT_UNALIGNED, 4 * (to + i), bits);
        }
        return worst < 0x7f800000;
    }

    private static boolean widen(
            MemorySegment in, long from, int step, MemorySegment out, long to, int count, DType type) {
        if (type != DType.F32) {
            return copyAny(DType.BF16, in, from, step, type, out, to, count);
        }
        int worst = 0;
        for (int i = 0; i < count; i++) {
            int bits = in.get(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * (from + (long) i * step)) << 16;
            worst = Math.max(worst, bits & 0x7f800000);
            out.set(ValueLayout.JAVA_INT_UNALIGNED, 4 * (to + i), bits);
        }
        return worst < 0x7f800000;
    }

    private static boolean copyAny(
            DType inType, MemorySegment in, long from, int step, DType outType, MemorySegment out, long to, int count) {
        boolean finite = true;
        for (int i = 0; i < count; i++) {
            outType.setFloat(out, to + i, inType.getFloat(in, from + (long) i * step));
            finite &=
                    Float.isFinite(outType.getFloat(out, to + i)); // a finite number may be too large for a narrow type
        }
        return finite;
    }

    /** Symmetric int8: the scale of a row is its greatest magnitude / 127, elements are rounded to the nearest, ties to even. */
    private static void quantise(String name, Tensor source, Tensor target, Order order) {
        int rows = size(source, 0);
        int columns = size(source, 1);
        long scales = Layout.ScaledRows.scalesOffset(target.spec());
        IntStream.range(0, rows).parallel().forEach(row -> {
            float greatest = 0;
            for (int column = 0; column < columns; column++) {
                float value = source.dtype().getFloat(source.segment(), (long) row * columns + column);
                if (!Float.isFinite(value)) {
                    throw notFinite(name, (long) row * columns + column, source.dtype(), target.dtype());
                }
                greatest = Math.max(greatest, Math.abs(value));
            }
            float scale = greatest / 127;
            float inverse = scale == 0 ? 0 : 1 / scale;
            target.segment().set(ValueLayout.JAVA_FLOAT, scales + 4L * row, scale);
            for (int column = 0; column < columns; column++) {
                float value = source.dtype().getFloat(source.segment(), (long) row * columns + column);
                long at = order == Order.ROW_MAJOR ? (long) row * columns + column : (long) column * rows + row;
                target.segment()
                        .set(ValueLayout.JAVA_BYTE, at, (byte) Math.clamp(Math.rint(value * inverse), -127, 127));
            }
        });
    }

    static ArtefactException notFinite(String name, long element, DType from, DType to) {
        return new ArtefactException("weight '" + name + "' holds NaN or infinity at element " + element + " (" + from
                + " in the checkpoint, read as " + to
                + "); the checkpoint is damaged, or a type is too narrow for it: try"
                + " another weightType");
    }
}
