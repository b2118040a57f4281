package ai.winnow.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class Nm24Test {

    private static Tensor repeated(Arena arena, int rows, int columns, float... group) {
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = group[i % group.length];
        }
        return Tensor.copyOf(arena, values, rows, columns);
    }

    /** The last two are what PyTorch's conversion gives for groups of one weight and of none. */
    @ParameterizedTest
    @CsvSource({"1100,4444", "0011,EEEE", "1010,8888", "0110,9999", "1001,CCCC", "0101,DDDD", "0001,EEEE", "0000,EEEE"})
    void theCodesAreThoseOfTheTensorCores(String pattern, String code) {
        try (Arena arena = Arena.ofConfined()) {
            float[] group = new float[4];
            for (int i = 0; i < 4; i++) {
                group[i] = pattern.charAt(i) - '0';
            }
            Nm24 packed = Nm24.compress("w", repeated(arena, 3, 32, group), arena);
            for (int i = 0; i < 6; i++) {
                int bits = (int) packed.codes().getFloat(i) & 0xffff;
                assertThat(Integer.toHexString(bits)).isEqualToIgnoringCase(code);
            }
        }
    }

    @Property(tries = 100)
    void whatWasCompressedComesBack(
            @ForAll @IntRange(min = 1, max = 9) int rows,
            @ForAll @IntRange(min = 1, max = 4) int words,
            @ForAll long seed) {
        try (Arena arena = Arena.ofConfined()) {
            SplittableRandom random = new SplittableRandom(seed);
            Tensor dense = Tensor.allocate(arena, DType.F32, rows, 16L * words);
            for (int group = 0; group < rows * words * 4; group++) {
                for (int i = 0; i < 2; i++) { // at most two, and sometimes the same twice, or 0
                    DType.F32.setFloat(dense.segment(), 4L * group + random.nextInt(4), random.nextInt(3));
                }
            }
            Nm24 packed = Nm24.compress("w", dense, arena);
            assertThat(packed.values().shape()).isEqualTo(Shape.of(rows, 8L * words));
            assertThat(packed.decompress("w", arena).toFloats()).containsExactly(dense.toFloats());
        }
    }

    @Test
    void aGroupOfThreeWeightsIsRefusedByNameRowAndColumn() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor dense = repeated(arena, 5, 16, 1, 0, 0, 2);
            DType.F32.setFloat(dense.segment(), 3 * 16 + 9, 1);
            assertThatThrownBy(() -> Nm24.compress("model.w", dense, arena))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("'model.w' is not 2:4")
                    .hasMessageContaining("row 3, column 11");
        }
    }

    @Test
    void aCodeThatNamesOnePlaceTwiceIsRefused() {
        try (Arena arena = Arena.ofConfined()) {
            Nm24 packed = Nm24.compress("w", repeated(arena, 2, 16, 1, 0, 0, 2), arena);
            DType.I16.setFloat(packed.codes().segment(), 1, 0x5444);
            assertThatThrownBy(() -> packed.decompress("w", arena))
                    .isInstanceOf(ArtefactException.class)
                    .hasMessageContaining("row 1, columns 12 to 15");
        }
    }
}
