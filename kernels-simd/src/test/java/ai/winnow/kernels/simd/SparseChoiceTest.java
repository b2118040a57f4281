package ai.winnow.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.WeightStructure;
import ai.winnow.tensor.BitmaskPanel16;
import ai.winnow.tensor.BlockSparse16x1;
import ai.winnow.tensor.CompressedRows;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SparseChoiceTest {

    private static final List<Layout> DENSE = List.of(Layout.COLUMN_MAJOR, Layout.ROW_MAJOR);

    private static Layout first(DType type, int out, int in, WeightStructure structure) {
        return SparseChoice.of(TensorSpec.of(type, out, in), structure)
                .order(DENSE)
                .getFirst();
    }

    private static WeightStructure unstructured(double density, int out, int in) {
        return new WeightStructure.Unstructured((long) (density * out * in));
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void aLargeWeightWithHalfItsBlocksLiesInBlocks(DType type) {
        assertThat(first(type, 4096, 4096, new WeightStructure.Blocks16x1(256 * 2048)))
                .isEqualTo(new BlockSparse16x1(256 * 2048));
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void aNearlyEmptyWeightLiesInCompressedRows(DType type) {
        assertThat(first(type, 4096, 4096, unstructured(0.01, 4096, 4096))).isInstanceOf(CompressedRows.class);
    }

    @Test
    void twoOfFourFromMemoryLiesInBitmaskPanelsWhereExpandIsFast() {
        Layout expected = Selection.FAST_COMPRESS ? new BitmaskPanel16(4096L * 2048) : Layout.COLUMN_MAJOR;
        assertThat(first(DType.F32, 4096, 4096, new WeightStructure.NOfM(2, 4))).isEqualTo(expected);
    }

    @Test
    void fewZerosLieDenseAndSoDoManyInASmallWeight() {
        assertThat(first(DType.F32, 4096, 4096, unstructured(0.9, 4096, 4096))).isEqualTo(Layout.COLUMN_MAJOR);
        assertThat(first(DType.F32, 256, 256, unstructured(0.25, 256, 256))).isEqualTo(Layout.COLUMN_MAJOR);
        assertThat(first(DType.F16, 4096, 4096, unstructured(0.25, 4096, 4096))).isEqualTo(Layout.COLUMN_MAJOR);
    }

    /** Other ops on the same weight may read it in a dense layout only. */
    @Test
    void denseLayoutsAreAlwaysOffered() {
        for (double density : new double[] {0, 0.01, 0.3, 0.6, 1}) {
            assertThat(SparseChoice.of(TensorSpec.of(DType.F32, 4096, 4096), unstructured(density, 4096, 4096))
                            .order(DENSE))
                    .containsAll(DENSE)
                    .doesNotHaveDuplicates();
        }
    }

    @Test
    void theNoteNamesTheStructureAndTheChoice() {
        String note = SparseChoice.of(TensorSpec.of(DType.F32, 4096, 4096), unstructured(0.9, 4096, 4096))
                .note();
        assertThat(note).isEqualTo("10 % unstructured zeros, F32 from memory: fastest as dense");
    }
}
