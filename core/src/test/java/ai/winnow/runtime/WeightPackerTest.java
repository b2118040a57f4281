package ai.winnow.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.Random;
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
