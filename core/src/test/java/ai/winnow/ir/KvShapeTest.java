package ai.winnow.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class KvShapeTest {

    private static final int HEAD_DIM = 4;
    private static final KvShape INT8 = new KvShape(1, 1, HEAD_DIM, 1, 200, DType.I8);

    private final MemorySegment pool = MemorySegment.ofArray(new byte[Math.toIntExact(3 * INT8.pageBytes())]);

    private float[] kept(float... row) {
        INT8.put(pool, 1, 63, MemorySegment.ofArray(row), 0);
        float[] kept = new float[HEAD_DIM];
        for (int d = 0; d < HEAD_DIM; d++) {
            kept[d] = INT8.get(pool, 1, 63, d);
        }
        return kept;
    }

    @ParameterizedTest
    @CsvSource({"F32, 32768", "BF16, 16384", "I8, 8448"})
    void aPageHoldsItsRowsAndTheirScales(DType type, long bytes) {
        assertThat(new KvShape(2, 3, 128, 5, 300, type).pageBytes()).isEqualTo(bytes);
    }

    @Test
    void elementsLieInTheirRowAndScalesBehindAllRows() {
        assertThat(kept(254, -127, 0, 2)).containsExactly(254, -128, 0, 2);
        long page = INT8.pageBytes();
        byte[] row = pool.asSlice(page + 63 * HEAD_DIM, HEAD_DIM).toArray(ValueLayout.JAVA_BYTE);
        assertThat(row).containsExactly(127, -64, 0, 1); // -63.5 goes to the even neighbour
        assertThat(pool.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 2 * page - Float.BYTES))
                .isEqualTo(2);
        assertThat(pool.asSlice(0, page).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
        assertThat(pool.asSlice(2 * page).toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
    }

    @Test
    void halvesGoToTheEvenElement() {
        assertThat(kept(127, 0.5f, 1.5f, -2.5f)).containsExactly(127, 0, 2, -2);
    }

    @Test
    void aRowOfZerosStaysZero() {
        kept(1, 2, 3, 4);
        assertThat(kept(0, -0f, 0, 0)).containsExactly(0, 0, 0, 0);
    }

    @Test
    void rowsTooSmallForAScaleBecomeZero() {
        assertThat(kept(Float.MIN_VALUE, 0, -Float.MIN_VALUE, 0)).containsExactly(0, 0, 0, 0);
    }

    @Test
    void quotientsBeyondTheGreatestElementBecomeIt() {
        float least = Float.MIN_VALUE; // 190 / 127 of it is rounded to one of it
        assertThat(kept(190 * least, -190 * least, 3 * least, 0))
                .containsExactly(127 * least, -127 * least, 3 * least, 0);
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void aRowThatIsNotFiniteIsNotANumberThroughout(float what) {
        assertThat(kept(1, 2, what, 3)).containsExactly(Float.NaN, Float.NaN, Float.NaN, Float.NaN);
    }

    @Test
    void otherTypesAreRefused() {
        assertThatThrownBy(() -> KvShape.requireType(DType.I4))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("F32, BF16 or I8, not I4");
    }
}
