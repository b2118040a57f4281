package ai.winnow.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ShapeException;
import ai.winnow.ir.CosineReduce.Reduction;
import ai.winnow.reference.Interpreter;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Meanings of the ops that methods use, by examples. */
class MethodOpsTest {

    private static final float NONE = Float.NEGATIVE_INFINITY;

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    private Tensor f32(float[] values, long... sizes) {
        return Tensor.copyOf(arena, values, sizes);
    }

    private Tensor row(float... values) {
        return f32(values, 1, values.length);
    }

    private List<Tensor> all(Op op, Tensor... inputs) {
        return Interpreter.evaluate(op, List.of(inputs), arena);
    }

    private float[] run(Op op, Tensor... inputs) {
        return all(op, inputs).getFirst().toFloats();
    }

    @Test
    void layerNormHasMeanBiasAndDeviationWeight() {
        Tensor x = row(1, 2, 3, 4);
        Tensor weight = f32(new float[] {2, 2, 2, 1}, 4);
        Tensor bias = f32(new float[] {0, 0, 1, 0}, 4);
        float unit = (float) (1 / Math.sqrt(1.25 + 0.01)); // the population's variance is 1.25
        assertThat(run(new LayerNorm(4, 0.01f), x, weight, bias))
                .containsExactly(new float[] {-3 * unit, -unit, unit + 1, 1.5f * unit}, within(1e-6f));
        assertThatThrownBy(() -> run(new LayerNorm(3, 0.01f), x, weight, bias)).isInstanceOf(ShapeException.class);
    }

    @Test
    void softmaxOfARowWithoutScoresIsZero() {
        assertThat(run(new Softmax(), f32(new float[] {0, (float) Math.log(3), NONE, NONE, NONE, NONE}, 2, 3)))
                .containsExactly(new float[] {0.25f, 0.75f, 0, 0, 0, 0}, within(1e-7f));
        assertThat(run(new Softmax(), row(1, Float.POSITIVE_INFINITY))).containsOnly(Float.NaN);
        assertThat(run(new Softmax(), row(1, Float.NaN))).containsOnly(Float.NaN);
    }

    /** The numbers were computed by hand from the paper's definition. */
    @Test
    void statisticalTopKIsASoftThreshold() {
        Tensor x = row(2, -1, .5f, 0, -.5f, 1, -2, 0);
        StatisticalTopK op = StatisticalTopK.keeping(2, 8, StatisticalTopK.Dropped.ZERO);
        assertThat((double) op.deviations()).isCloseTo(0.67449, within(5e-6));
        assertThat(run(op, x)).containsExactly(new float[] {1.22727f, 0, 0, 0, 0, .22727f, 0, 0}, within(5e-6f));
    }

    @Test
    void scoresThatAreNotAboveTheThresholdAreDropped() {
        StatisticalTopK op = StatisticalTopK.keeping(2, 4, StatisticalTopK.Dropped.NEGATIVE_INFINITY);
        float[] kept = run(op, row(1, .5f, 1.5f, -1));
        assertThat(kept).containsExactly(.5f, NONE, 1, NONE); // .5 is the threshold, and not above it
        assertThat(run(new Softmax(), row(kept))).containsExactly(new float[] {.37754f, 0, .62246f, 0}, within(5e-6f));
    }

    @Test
    void ofEqualElementsNoneOrTheFirstRemains() {
        Tensor x = row(3, 3, 3, 3);
        assertThat(run(StatisticalTopK.keeping(1, 4, StatisticalTopK.Dropped.ZERO), x))
                .containsOnly(0);
        assertThat(run(StatisticalTopK.keeping(1, 4, StatisticalTopK.Dropped.NEGATIVE_INFINITY), x))
                .containsExactly(0, NONE, NONE, NONE);
    }

    @Test
    void aboutAsManyRemainAsWereAskedFor() {
        int width = 13824;
        SplittableRandom random = new SplittableRandom(7);
        float[] values = new float[width];
        for (int i = 0; i < width; i++) {
            values[i] = (float) random.nextGaussian();
        }
        float[] kept = run(StatisticalTopK.keeping(1106, width, StatisticalTopK.Dropped.ZERO), row(values));
        int count = 0;
        for (float value : kept) {
            count += value > 0 ? 1 : 0;
        }
        assertThat(count).isBetween(1106 - 110, 1106 + 110);
    }

    @Test
    void quantilesOfTheNormalDistribution() {
        assertThat(StatisticalTopK.quantile(0.5)).isZero();
        assertThat(StatisticalTopK.quantile(0.95)).isCloseTo(1.6448536269514722, within(1e-13));
        assertThat(StatisticalTopK.quantile(0.92)).isCloseTo(1.4050715603096329, within(1e-13));
        assertThat(StatisticalTopK.quantile(1e-6)).isCloseTo(-4.753424308822899, within(1e-9));
        assertThatThrownBy(() -> StatisticalTopK.keeping(8, 8, StatisticalTopK.Dropped.ZERO))
                .isInstanceOf(ShapeException.class);
    }

    @Test
    void scatterReplacesRowsAndTheLastStays() {
        Tensor base = f32(new float[] {1, 1, Float.NaN, 2, 3, 3}, 3, 2);
        Tensor indices = Tensor.copyOf(arena, new int[] {1, 0, 1}, 3);
        Tensor updates = f32(new float[] {10, 11, 20, 21, 30, -0f}, 3, 2);
        assertThat(run(new Primitive.Scatter(), base, indices, updates)).containsExactly(20, 21, 30, -0f, 3, 3);
    }

    @Test
    void cosinesOfPairs() {
        Tensor a = f32(new float[] {2, 0, 0, 0, 1, 1}, 3, 2); // the second has no direction
        Tensor b = f32(new float[] {0, 4, 2, 0, 8, 0, -1, 0}, 4, 2);
        List<Tensor> greatest = all(new CosineReduce(new Reduction.Greatest(), false), a, b);
        float half = (float) Math.sqrt(0.5);
        assertThat(greatest.get(0).toFloats()).containsExactly(1, 0, half);
        assertThat(greatest.get(1).toFloats()).containsExactly(1, 0, 0); // ties go to the lower row
        assertThat(run(new CosineReduce(new Reduction.CountAbove(0.5f), false), a, b))
                .containsExactly(2, 0, 3);
        assertThat(run(new CosineReduce(new Reduction.Sum(), false), a, b))
                .containsExactly(new float[] {1, 0, 2 * half}, within(1e-6f));
    }

    @Test
    void aRowDoesNotMeetItself() {
        Tensor x = f32(new float[] {1, 0, 0, 1, 3, 0, Float.NaN, 0}, 4, 2);
        List<Tensor> greatest = all(new CosineReduce(new Reduction.Greatest(), true), x);
        assertThat(greatest.get(0).toFloats()).containsOnly(Float.NaN);
        assertThat(greatest.get(1).toFloats()).containsExactly(3, 3, 3, 0);
        Tensor one = row(1, 2);
        assertThat(all(new CosineReduce(new Reduction.Greatest(), true), one).stream()
                        .map(tensor -> tensor.getFloat(0)))
                .containsExactly(NONE, 0f);
    }
}
