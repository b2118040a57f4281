package ai.winnow.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.tensor.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

/** The exponential function against that of f64, from where it is 0 to where it is infinite. */
class ExponentialTest {

    private static final int PIECE = 4096;

    /** A prime, so that no bits of the fraction are left out. */
    private static final int STRIDE = 509;

    private static final double MOST_ULPS = 1.5;

    @Test
    void isWithinTwoUlpsFromZeroToInfinity() {
        double worst = 0;
        float at = 0;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = NativeMemory.allocate(arena, 4 * PIECE);
            MemorySegment y = NativeMemory.allocate(arena, 4 * PIECE);
            for (int sign : new int[] {0, Integer.MIN_VALUE}) {
                int last = Float.floatToRawIntBits(110f);
                for (int from = 0; from < last; from += PIECE * STRIDE) {
                    for (int i = 0; i < PIECE; i++) {
                        x.setAtIndex(ValueLayout.JAVA_INT, i, sign | Math.min(last, from + i * STRIDE));
                    }
                    Exponential.of(x.address(), 1, 0, y.address(), PIECE);
                    for (int i = 0; i < PIECE; i++) {
                        float argument = x.getAtIndex(ValueLayout.JAVA_FLOAT, i);
                        double ulps = ulps(y.getAtIndex(ValueLayout.JAVA_FLOAT, i), Math.exp(argument));
                        at = ulps > worst ? argument : at;
                        worst = Math.max(worst, ulps);
                    }
                }
            }
        }
        assertThat(worst).as("ulps at %s", at).isLessThanOrEqualTo(MOST_ULPS);
    }

    @Test
    void limitsAndNaN() {
        float[] arguments = {
            Float.NaN, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY, -Float.MAX_VALUE, Float.MAX_VALUE, -0f, 0
        };
        float[] expected = {Float.NaN, 0, Float.POSITIVE_INFINITY, 0, Float.POSITIVE_INFINITY, 1, 1};
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = NativeMemory.allocate(arena, 4 * PIECE);
            MemorySegment.copy(arguments, 0, x, ValueLayout.JAVA_FLOAT, 0, arguments.length);
            x.setAtIndex(ValueLayout.JAVA_INT, arguments.length, 0x7f80_0001); // NaN that signals
            Exponential.of(x.address(), 1, 0, x.address(), arguments.length + 1);
            for (int i = 0; i < arguments.length; i++) {
                assertThat(x.getAtIndex(ValueLayout.JAVA_FLOAT, i))
                        .as("exp(%s)", arguments[i])
                        .isEqualTo(Float.valueOf(expected[i]));
            }
            assertThat(x.getAtIndex(ValueLayout.JAVA_FLOAT, arguments.length)).isNaN();
        }
    }

    /** How far {@code value} is from the number, in units of the last place that an f32 of that size has. */
    private static double ulps(float value, double number) {
        if (Float.isInfinite(value)) {
            // The greatest number that is not rounded to infinity lies half an ulp above the greatest f32.
            return number > Float.MAX_VALUE ? 0 : Double.POSITIVE_INFINITY;
        }
        return Math.abs(value - number) / Math.ulp((float) Math.min(number, Float.MAX_VALUE));
    }
}
