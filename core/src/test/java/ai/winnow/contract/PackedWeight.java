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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

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

    /** The greatest of every other group is -8, of the others 7. */
    private static void packGroups(Tensor values, ScaledGroups layout, Tensor packed, Tensor meaning) {
        TensorSpec spec = packed.spec();
        int out = Math.toIntExact(spec.shape().max(0));
        int in = Math.toIntExact(spec.shape().max(1));
        packed.segment().asSlice(0, layout.scalesOffset(spec)).fill((byte) 0x88);
        Map<Long, Float> greatest = new HashMap<>();
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                greatest.merge(layout.scaleAt(spec, o, i), Math.abs(values.getFloat((long) o * in + i)), Math::max);
            }
        }
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                long at = layout.scaleAt(spec, o, i);
                float scale = at / 4 % 2 == 0 ? greatest.get(at) / 8 : greatest.get(at) / 7;
                float value = values.getFloat((long) o * in + i);
                int element = scale == 0 ? 0 : Math.clamp(Math.round(value / scale), -8, 7);
                DType.F32.setFloat(packed.segment().asSlice(at), 0, scale);
                DType.I4.setFloat(packed.segment(), layout.index(spec, o, i), element);
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
