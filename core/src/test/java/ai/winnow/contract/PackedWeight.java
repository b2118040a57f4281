package ai.winnow.contract;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Layout.ScaledGroups;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * A weight as a kernel reads it.
 *
 * @param packed the weight in its own type and layout
 * @param meaning f32, row-major: the numbers that the packed bytes stand for, after rounding
 */
public record PackedWeight(Tensor packed, Tensor meaning) {

    /**
     * Packs f32 {@code values}, row-major. int8 weights are scaled by rows to -127..127 in every layout; where the layout has no
     * room for the scales, the int8 numbers themselves are what is meant. int4 weights are scaled by groups to -8..7.
     */
    public static PackedWeight of(Tensor values, DType type, Layout layout, Arena arena) {
        TensorSpec spec = values.spec().withDType(type);
        if (layout instanceof Layout.Sparse sparse) {
            Tensor packed = Tensor.allocate(arena, spec, layout);
            sparse.compress("weight", values, packed);
            return new PackedWeight(
                    packed, of(values, type, Layout.ROW_MAJOR, arena).meaning());
        }
        Tensor packed = Tensor.allocate(arena, spec, layout);
        Tensor meaning = Tensor.allocate(arena, values.spec(), Layout.ROW_MAJOR);
        if (layout instanceof ScaledGroups groups) {
            packGroups(values, groups, packed, meaning);
            return new PackedWeight(packed, meaning);
        }
        long rows = spec.shape().rowDim().max();
        long columns = spec.shape().rowElements();
        Order order = layout.order();
        for (long row = 0; row < rows; row++) {
            float scale = type == DType.I8 ? scaleOf(values, row, columns) : 1;
            float stored = layout instanceof Layout.ScaledRows ? storeScale(packed, row, scale) : 1;
            for (long column = 0; column < columns; column++) {
                long place = order == Order.ROW_MAJOR ? row * columns + column : column * rows + row;
                float element = values.getFloat(row * columns + column);
                type.setFloat(packed.segment(), place, type == DType.I8 ? Math.round(element / scale) : element);
                float meant = type.getFloat(packed.segment(), place) * stored;
                DType.F32.setFloat(meaning.segment(), row * columns + column, meant);
            }
        }
        return new PackedWeight(packed, meaning);
    }

    /** The greatest magnitude is 8 steps in every other group, 7 in the others. */
    private static void packGroups(Tensor values, ScaledGroups layout, Tensor packed, Tensor meaning) {
        TensorSpec spec = packed.spec();
        int out = Math.toIntExact(spec.shape().max(0));
        int in = Math.toIntExact(spec.shape().max(1));
        packed.segment().asSlice(0, layout.scalesOffset(spec)).fill((byte) 0x88);
        MemorySegment memory = packed.segment();
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                long at = layout.scaleAt(spec, o, i);
                float magnitude = Math.abs(values.getFloat((long) o * in + i));
                memory.set(ValueLayout.JAVA_FLOAT, at, Math.max(memory.get(ValueLayout.JAVA_FLOAT, at), magnitude));
            }
        }
        for (long at = layout.scalesOffset(spec); at < layout.bytes(spec); at += 4) {
            int steps = at % 8 == 0 ? 8 : 7;
            memory.set(ValueLayout.JAVA_FLOAT, at, memory.get(ValueLayout.JAVA_FLOAT, at) / steps);
        }
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                float scale = memory.get(ValueLayout.JAVA_FLOAT, layout.scaleAt(spec, o, i));
                float value = values.getFloat((long) o * in + i);
                int element = scale == 0 ? 0 : Math.clamp(Math.round(value / scale), -8, 7);
                DType.I4.setFloat(memory, layout.index(spec, o, i), element);
                DType.F32.setFloat(meaning.segment(), (long) o * in + i, element * scale);
            }
        }
    }

    private static float scaleOf(Tensor values, long row, long columns) {
        float greatest = 0;
        for (long column = 0; column < columns; column++) {
            greatest = Math.max(greatest, Math.abs(values.getFloat(row * columns + column)));
        }
        return greatest == 0 ? 1 : greatest / 127;
    }

    private static float storeScale(Tensor packed, long row, float scale) {
        MemorySegment scales = packed.segment().asSlice(Layout.ScaledRows.scalesOffset(packed.spec()));
        DType.F32.setFloat(scales, row, scale);
        return scale;
    }

    static TensorSpec withRows(TensorSpec spec, int rows) {
        if (spec.shape().rank() == 0) {
            return spec;
        }
        List<Dim> dims = new ArrayList<>(spec.shape().dims());
        dims.set(0, Dim.of(rows));
        return spec.withShape(new Shape(dims));
    }
}
