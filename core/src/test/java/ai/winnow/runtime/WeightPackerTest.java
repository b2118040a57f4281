package ai.winnow.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Layout.ScaledGroups;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WeightPackerTest {

    @ParameterizedTest
    @CsvSource({"1,1", "1,7", "63,65", "64,64", "65,130", "200,3"})
    void everyTypeAndOrderHoldsTheSameNumbers(int rows, int columns) {
        DType[] types = {DType.F64, DType.F32, DType.F16, DType.BF16};
        for (DType from : types) {
            for (DType to : new DType[] {DType.F32, DType.F16, DType.BF16}) {
                for (Order order : Order.values()) {
                    try (Arena arena = Arena.ofShared()) {
                        Tensor source = random(arena, from, rows, columns);
                        Tensor target =
                                Tensor.allocate(arena, TensorSpec.of(to, rows, columns), new Layout.Dense(order));
                        WeightPacker.pack("w", source, target);
                        for (int r = 0; r < rows; r++) {
                            for (int c = 0; c < columns; c++) {
                                float expected = rounded(to, source.getFloat((long) r * columns + c), arena);
                                assertThat(to.getFloat(target.segment(), at(order, r, c, rows, columns)))
                                        .as("%s to %s %s at %d,%d", from, to, order, r, c)
                                        .isEqualTo(expected);
                            }
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1,1", "5,33", "70,64"})
    void int8IsWithinHalfAStepOfItsRow(int rows, int columns) {
        for (Order order : Order.values()) {
            try (Arena arena = Arena.ofShared()) {
                Tensor source = random(arena, DType.F32, rows, columns);
                Layout layout = new Layout.ScaledRows(order);
                Tensor target = Tensor.allocate(arena, TensorSpec.of(DType.I8, rows, columns), layout);
                WeightPacker.pack("w", source, target);
                long scales = Layout.ScaledRows.scalesOffset(target.spec());
                for (int r = 0; r < rows; r++) {
                    float scale = DType.F32.getFloat(target.segment().asSlice(scales), r);
                    for (int c = 0; c < columns; c++) {
                        float element = DType.I8.getFloat(target.segment(), at(order, r, c, rows, columns));
                        assertThat(Math.abs(element * scale - source.getFloat((long) r * columns + c)))
                                .isLessThanOrEqualTo(scale * 0.5001f);
                    }
                }
            }
        }
    }

    /** Half a step, and a whole one where the scale makes the greatest magnitude -8 and cuts its opposite to 7. */
    @ParameterizedTest
    @CsvSource({"1,1", "5,33", "33,5", "70,64", "3,300", "300,3", "129,257"})
    void int4IsWithinAStepOfItsGroup(int rows, int columns) {
        for (Order order : Order.values()) {
            for (Layout each : ScaledGroups.all(order)) {
                ScaledGroups layout = (ScaledGroups) each;
                try (Arena arena = Arena.ofShared()) {
                    Tensor source = random(arena, DType.F32, rows, columns);
                    Tensor target = Tensor.allocate(arena, TensorSpec.of(DType.I4, rows, columns), layout);
                    WeightPacker.pack("w", source, target);
                    for (int r = 0; r < rows; r++) {
                        for (int c = 0; c < columns; c++) {
                            float scale = scale(target, layout, r, c);
                            float off = element(target, layout, r, c) * scale - source.getFloat((long) r * columns + c);
                            assertThat(Math.abs(off))
                                    .as("%s at %d,%d", layout, r, c)
                                    .isLessThanOrEqualTo(Math.abs(scale) * (scale < 0 || off < 0 ? 1.0001f : 0.5001f));
                        }
                    }
                }
            }
        }
    }

    /** With -8 as the greatest, -8 to 7 are exact; with 7, steps of 8/7 would miss all but zero. */
    @ParameterizedTest
    @CsvSource({"1", "-1"})
    void int4TakesTheScaleThatLosesLess(float sign) {
        try (Arena arena = Arena.ofShared()) {
            Tensor source = Tensor.allocate(arena, DType.F32, 2, 32);
            for (int i = 0; i < 32; i++) {
                DType.F32.setFloat(source.segment(), i, sign * (i % 16 - 8));
                DType.F32.setFloat(source.segment(), 32 + i, i % 15 - 7);
            }
            ScaledGroups layout = new ScaledGroups(Order.ROW_MAJOR, 32);
            Tensor target = Tensor.allocate(arena, TensorSpec.of(DType.I4, 2, 32), layout);
            WeightPacker.pack("w", source, target);
            assertThat(scale(target, layout, 0, 0)).isEqualTo(sign);
            assertThat(scale(target, layout, 1, 0)).isEqualTo(1);
            for (int i = 0; i < 64; i++) {
                assertThat(element(target, layout, i / 32, i % 32) * scale(target, layout, i / 32, 0))
                        .isEqualTo(source.getFloat(i));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"0", "1e-40"})
    void int4GroupsOfZerosAndOfDenormalNumbersAreZeros(float value) {
        try (Arena arena = Arena.ofShared()) {
            Tensor source = Tensor.copyOf(arena, new float[] {value, -value, 0}, 1, 3);
            ScaledGroups layout = new ScaledGroups(Order.COLUMN_MAJOR, 32);
            Tensor target = Tensor.allocate(arena, TensorSpec.of(DType.I4, 1, 3), layout);
            WeightPacker.pack("w", source, target);
            for (int i = 0; i < 3; i++) {
                assertThat(element(target, layout, 0, i)).isEqualTo(0);
                assertThat(scale(target, layout, 0, i)).isEqualTo(0);
            }
        }
    }

    /** What ONNX Runtime's MatMulNBits reads: the lower half of a byte first, 8 for zero, rows of whole groups. */
    @Test
    void rowMajorInt4LiesAsMatMulNBitsReadsIt() {
        try (Arena arena = Arena.ofShared()) {
            float[] values = new float[2 * 33];
            values[0] = -8;
            values[1] = 3;
            values[33 + 32] = 7;
            Tensor source = Tensor.copyOf(arena, values, 2, 33);
            ScaledGroups layout = new ScaledGroups(Order.ROW_MAJOR, 32);
            Tensor target = Tensor.allocate(arena, TensorSpec.of(DType.I4, 2, 33), layout);
            WeightPacker.pack("w", source, target);
            byte[] expected = new byte[64];
            Arrays.fill(expected, (byte) 0x88);
            expected[0] = (byte) 0xb0;
            expected[32 + 16] = (byte) 0x8f;
            assertThat(target.segment().asSlice(0, 64).toArray(ValueLayout.JAVA_BYTE))
                    .isEqualTo(expected);
            assertThat(target.segment().asSlice(64, 16).toArray(ValueLayout.JAVA_FLOAT))
                    .containsExactly(1, 0, 0, 1);
        }
    }

    @ParameterizedTest
    @CsvSource({"F32,NaN", "F32,Infinity", "BF16,NaN", "BF16,-Infinity", "F16,NaN", "F64,Infinity"})
    void aWeightThatIsNotFiniteIsRefusedByName(DType type, float bad) {
        try (Arena arena = Arena.ofShared()) {
            Tensor source = random(arena, type, 70, 70);
            type.setFloat(source.segment(), 69 * 70 + 3, bad);
            for (DType to : new DType[] {DType.F32, DType.BF16, DType.F16}) {
                for (Order order : Order.values()) {
                    Tensor target = Tensor.allocate(arena, TensorSpec.of(to, 70, 70), new Layout.Dense(order));
                    assertThatThrownBy(() -> WeightPacker.pack("model.w", source, target))
                            .isInstanceOf(ArtefactException.class)
                            .hasMessageContaining("'model.w' holds NaN or infinity at element 4833");
                }
            }
            Tensor target =
                    Tensor.allocate(arena, TensorSpec.of(DType.I8, 70, 70), new Layout.ScaledRows(Order.COLUMN_MAJOR));
            assertThatThrownBy(() -> WeightPacker.pack("model.w", source, target))
                    .isInstanceOf(ArtefactException.class);
            for (Order order : Order.values()) {
                Layout layout = new ScaledGroups(order, 32);
                Tensor int4 = Tensor.allocate(arena, TensorSpec.of(DType.I4, 70, 70), layout);
                assertThatThrownBy(() -> WeightPacker.pack("model.w", source, int4))
                        .isInstanceOf(ArtefactException.class)
                        .hasMessageContaining("'model.w' holds NaN or infinity at element 4833");
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"F32,F16,70000", "BF16,F16,65536", "F64,F16,-1e5", "F32,BF16,3.4e38"})
    void aNumberTooLargeForANarrowTypeIsRefused(DType from, DType to, float large) {
        try (Arena arena = Arena.ofShared()) {
            Tensor source = random(arena, from, 3, 5);
            from.setFloat(source.segment(), 7, large);
            for (Order order : Order.values()) {
                Tensor target = Tensor.allocate(arena, TensorSpec.of(to, 3, 5), new Layout.Dense(order));
                assertThatThrownBy(() -> WeightPacker.pack("model.w", source, target))
                        .isInstanceOf(ArtefactException.class)
                        .hasMessageContaining("element 7 (" + from + " in the checkpoint, read as " + to + ")");
            }
        }
    }

    private static float element(Tensor tensor, ScaledGroups layout, int row, int column) {
        return DType.I4.getFloat(tensor.segment(), layout.index(tensor.spec(), row, column));
    }

    private static float scale(Tensor tensor, ScaledGroups layout, int row, int column) {
        return tensor.segment().get(ValueLayout.JAVA_FLOAT, layout.scaleAt(tensor.spec(), row, column));
    }

    private static long at(Order order, int row, int column, int rows, int columns) {
        return order == Order.ROW_MAJOR ? (long) row * columns + column : (long) column * rows + row;
    }

    private static float rounded(DType type, float value, Arena arena) {
        Tensor one = Tensor.allocate(arena, type, 1);
        type.setFloat(one.segment(), 0, value);
        return one.getFloat(0);
    }

    private static Tensor random(Arena arena, DType type, int rows, int columns) {
        Tensor tensor = Tensor.allocate(arena, type, rows, columns);
        Random random = new Random(42);
        for (int i = 0; i < rows * columns; i++) {
            type.setFloat(tensor.segment(), i, (float) random.nextGaussian());
        }
        return tensor;
    }
}
