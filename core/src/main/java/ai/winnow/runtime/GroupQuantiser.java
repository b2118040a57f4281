package ai.winnow.runtime;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Layout.ScaledGroups;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * Symmetric int4 with a scale a group. Of two scales the one with the smaller squared error is taken: the greatest magnitude / 7,
 * or the number of greatest magnitude / -8, which then is exact while numbers as large on the other side are cut to 7/8 of it.
 * Elements are rounded to the nearest, ties to even.
 */
final class GroupQuantiser {

    /** Rows of a column-major weight that are read together: neighbours in the source. */
    private static final int ROWS = 64;

    /** Groups whose scale were smaller become zeros: arithmetic on denormal numbers is slow. */
    private static final float LEAST = 8 * Float.MIN_NORMAL;

    private final String name;
    private final Tensor source;
    private final Tensor target;
    private final ScaledGroups layout;
    private final int outputs;
    private final int inputs;

    private GroupQuantiser(String name, Tensor source, Tensor target, ScaledGroups layout) {
        this.name = name;
        this.source = source;
        this.target = target;
        this.layout = layout;
        this.outputs = Math.toIntExact(source.shape().max(0));
        this.inputs = Math.toIntExact(source.shape().max(1));
    }

    /** @throws ai.winnow.ArtefactException if the source holds a number that is not finite */
    static void pack(String name, Tensor source, Tensor target, ScaledGroups layout) {
        GroupQuantiser quantiser = new GroupQuantiser(name, source, target, layout);
        boolean rowMajor = layout.order() == Order.ROW_MAJOR;
        int rows = rowMajor ? quantiser.outputs : quantiser.inputs;
        int step = rowMajor ? 1 : ROWS;
        IntStream.range(0, Math.ceilDiv(rows, step)).parallel().forEach(block -> {
            int from = block * step;
            quantiser.rows(from, Math.min(from + step, rows));
        });
    }

    /** All groups of some rows of the target. */
    private void rows(int from, int to) {
        boolean rowMajor = layout.order() == Order.ROW_MAJOR;
        int columns = rowMajor ? inputs : outputs;
        int group = layout.group();
        long rowBytes = layout.rowBytes(target.spec());
        for (int row = from; row < to; row++) {
            target.segment().asSlice(row * rowBytes, rowBytes).fill((byte) 0x88); // what fills up a row is zero
        }
        float[] values = new float[(to - from) * group];
        for (int column = 0; column < columns; column += group) {
            int count = Math.min(group, columns - column);
            if (rowMajor) {
                read(from, column, count, values, 0, 1);
            } else {
                for (int o = 0; o < count; o++) {
                    read(column + o, from, to - from, values, o, group);
                }
            }
            for (int row = from; row < to; row++) {
                quantise(values, (row - from) * group, count, row, column);
            }
        }
    }

    /** Neighbours of one source row to {@code values[at + i * step]}. */
    private void read(int output, int input, int count, float[] values, int at, int step) {
        DType type = source.dtype();
        MemorySegment segment = source.segment();
        long from = (long) output * inputs + input;
        for (int i = 0; i < count; i++) {
            float value = type.getFloat(segment, from + i);
            if (!Float.isFinite(value)) {
                throw WeightPacker.notFinite(name, from + i, type, target.dtype());
            }
            values[at + i * step] = value;
        }
    }

    /** One group, which begins at {@code column} of a row of the target. */
    private void quantise(float[] values, int at, int count, int row, int column) {
        float extreme = 0;
        for (int i = at; i < at + count; i++) {
            extreme = Math.abs(values[i]) > Math.abs(extreme) ? values[i] : extreme;
        }
        float symmetric = Math.abs(extreme) / 7;
        float full = extreme / -8;
        float scale = Math.abs(extreme) < LEAST
                ? 0
                : error(values, at, count, full) < error(values, at, count, symmetric) ? full : symmetric;
        boolean rowMajor = layout.order() == Order.ROW_MAJOR;
        int output = rowMajor ? row : column;
        int input = rowMajor ? column : row;
        MemorySegment out = target.segment();
        out.set(ValueLayout.JAVA_FLOAT, layout.scaleAt(target.spec(), output, input), scale);
        for (int i = 0; i < count; i++) {
            int element = scale == 0 ? 0 : element(values[at + i], scale);
            long index = layout.index(target.spec(), output + (rowMajor ? 0 : i), input + (rowMajor ? i : 0));
            DType.I4.setFloat(out, index, element);
        }
    }

    private static double error(float[] values, int at, int count, float scale) {
        double sum = 0;
        for (int i = at; i < at + count; i++) {
            double off = values[i] - (double) element(values[i], scale) * scale;
            sum += off * off;
        }
        return sum;
    }

    private static int element(float value, float scale) {
        return (int) Math.clamp(Math.rint((double) value / scale), -8, 7);
    }
}
