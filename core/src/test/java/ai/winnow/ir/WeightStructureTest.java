package ai.winnow.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.ir.WeightStructure.Blocks16x1;
import ai.winnow.ir.WeightStructure.NOfM;
import ai.winnow.ir.WeightStructure.Unstructured;
import ai.winnow.tensor.BitmaskPanel16;
import ai.winnow.tensor.BlockSparse16x1;
import ai.winnow.tensor.CompressedRows;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import org.junit.jupiter.api.Test;

class WeightStructureTest {

    private static Tensor matrix(Arena arena, int rows, int columns, Rule rule) {
        float[] values = new float[rows * columns];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                values[row * columns + column] = rule.kept(row, column) ? -1 - row : -0f;
            }
        }
        return Tensor.copyOf(arena, values, rows, columns);
    }

    private interface Rule {
        boolean kept(int row, int column);
    }

    @Test
    void aScanFindsTheStrictestStructure() {
        try (Arena arena = Arena.ofShared()) {
            assertThat(WeightStructure.of(matrix(arena, 40, 12, (_, _) -> true)))
                    .isEqualTo(WeightStructure.dense());
            assertThat(WeightStructure.of(matrix(arena, 40, 12, (_, column) -> column % 4 < 2)))
                    .isEqualTo(new Blocks16x1(3 * 6));
            assertThat(WeightStructure.of(matrix(arena, 40, 12, (row, column) -> (row + column) % 4 < 2)))
                    .isEqualTo(new NOfM(2, 4));
            assertThat(WeightStructure.of(matrix(arena, 40, 12, (row, column) -> (row * 12 + column) % 5 == 0)))
                    .isEqualTo(new Unstructured(96));
        }
    }

    @Test
    void whatAScanFindsIsTrue() {
        try (Arena arena = Arena.ofShared()) {
            Tensor weight = matrix(arena, 37, 19, (row, column) -> (row * 7 + column * 3) % 5 < 2);
            assertThatCode(() -> WeightStructure.of(weight).require("w", weight))
                    .doesNotThrowAnyException();
        }
    }

    @Test
    void theFirstElementTooManyIsNamed() {
        try (Arena arena = Arena.ofShared()) {
            Tensor weight = matrix(arena, 40, 12, (row, column) -> (row + column) % 3 == 0);
            assertThatThrownBy(() -> new Unstructured(159).require("model.w", weight))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("'model.w'")
                    .hasMessageContaining("159 non-zeros")
                    .hasMessageContaining("it has 160")
                    .hasMessageContaining("row 39, column 9");
            assertThatThrownBy(() -> new Blocks16x1(35).require("model.w", weight))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("35 blocks of 16x1")
                    .hasMessageContaining("it has 36")
                    .hasMessageContaining("row 34, column 11");
            assertThatThrownBy(() -> new NOfM(1, 4).require("model.w", weight))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("1 weights of every 4 inputs")
                    .hasMessageContaining("row ");
            assertThatCode(() -> new NOfM(2, 4).require("model.w", weight)).doesNotThrowAnyException();
            assertThatCode(() -> new Unstructured(160).require("model.w", weight))
                    .doesNotThrowAnyException();
        }
    }

    @Test
    void countsAreWhatTheShapeAllows() {
        TensorSpec spec = TensorSpec.of(DType.F32, 10, 7);
        assertThat(new NOfM(2, 4).nonZeros(spec)).isEqualTo(10 * 4);
        assertThat(new NOfM(1, 4).nonZeros(spec)).isEqualTo(10 * 2);
        assertThat(new Blocks16x1(3).nonZeros(spec)).isEqualTo(48);
        assertThat(new Unstructured(35).density(spec)).isEqualTo(0.5);
        assertThatThrownBy(() -> new NOfM(3, 2)).isInstanceOf(ShapeException.class);
        assertThatThrownBy(() -> new Unstructured(-1)).isInstanceOf(ShapeException.class);
    }

    @Test
    void layoutsHaveRoomForWhatIsDeclared() {
        TensorSpec spec = TensorSpec.of(DType.BF16, 32, 8);
        assertThat(new NOfM(2, 4).layouts(spec)).containsExactly(new BitmaskPanel16(128), new CompressedRows(128));
        assertThat(new Blocks16x1(5).layouts(spec))
                .containsExactly(new BlockSparse16x1(5), new BitmaskPanel16(80), new CompressedRows(80));
        assertThat(WeightStructure.dense().layouts(spec)).isEmpty();
    }
}
