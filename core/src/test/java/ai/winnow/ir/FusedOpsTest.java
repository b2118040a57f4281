package ai.winnow.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ShapeException;
import ai.winnow.reference.Interpreter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What fused ops decompose into, against formulas written here anew, in f64. */
class FusedOpsTest {

    private final Arena arena = Arena.ofConfined();
    private final SplittableRandom random = new SplittableRandom(3);

    @AfterEach
    void close() {
        arena.close();
    }

    private Tensor f32(float[] values, long... sizes) {
        return Tensor.copyOf(arena, values, sizes);
    }

    private Tensor normal(long... sizes) {
        Tensor tensor = Tensor.allocate(arena, DType.F32, sizes);
        for (long i = 0; i < tensor.shape().maxElements(); i++) {
            DType.F32.setFloat(tensor.segment(), i, (float) random.nextGaussian());
        }
        return tensor;
    }

    private float[] run(Op op, Tensor... inputs) {
        return Interpreter.evaluate(op, List.of(inputs), arena).getFirst().toFloats();
    }

    private static void assertClose(float[] found, double[] expected) {
        assertThat(found).hasSameSizeAs(expected);
        for (int i = 0; i < found.length; i++) {
            assertThat((double) found[i]).as("element %d", i).isCloseTo(expected[i], within(4e-6));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 5, 5", "3, 4, 4", "1, 6, 8", "2, 1, 1"})
    void rmsNormDividesByTheRootOfTheMeanSquare(int groups, int width, int divisor) {
        int rows = 2;
        Tensor x = normal(rows, (long) groups * width);
        Tensor weight = normal(width);
        double[] expected = new double[rows * groups * width];
        for (int start = 0; start < expected.length; start += width) {
            double squares = 0;
            for (int i = 0; i < width; i++) {
                squares += Math.pow(x.getFloat(start + i), 2);
            }
            for (int i = 0; i < width; i++) {
                expected[start + i] = x.getFloat(start + i) / Math.sqrt(squares / divisor + 0.01) * weight.getFloat(i);
            }
        }
        assertClose(run(new RmsNorm(width, 0.01f, divisor), x, weight), expected);
    }

    @Test
    void linearWithAndWithoutBias() {
        Tensor x = f32(new float[] {1, 2, 3, 4}, 2, 2);
        Tensor weight = f32(new float[] {1, 1, 2, 0, 0, -1}, 3, 2);
        assertThat(run(new Linear(false), x, weight)).containsExactly(3, 2, -2, 7, 6, -4);
        Tensor bias = f32(new float[] {10, 20, 30}, 3);
        assertThat(run(new Linear(true), x, weight, bias)).containsExactly(13, 22, 28, 17, 26, 26);
        Tensor wide = f32(new float[] {1, 2, 3}, 1, 3);
        assertThatThrownBy(() -> run(new Linear(false), wide, weight)).isInstanceOf(ShapeException.class);
        assertThatThrownBy(() -> run(new Linear(true), x, weight, wide)).isInstanceOf(ShapeException.class);
    }

    @Test
    void embeddingWidensTheRowsOfItsTable() {
        Tensor table = Tensor.allocate(arena, TensorSpec.of(DType.BF16, 3, 2), Layout.ROW_MAJOR);
        for (int i = 0; i < 6; i++) {
            DType.BF16.setFloat(table.segment(), i, i + 0.5f);
        }
        Tensor ids = Tensor.copyOf(arena, new int[] {2, 0}, 2);
        List<Tensor> made = Interpreter.evaluate(new Embedding(), List.of(ids, table), arena);
        assertThat(made.getFirst().spec()).isEqualTo(TensorSpec.of(DType.F32, 2, 2));
        assertThat(made.getFirst().toFloats()).containsExactly(4.5f, 5.5f, 0.5f, 1.5f);
    }

    @ParameterizedTest
    @EnumSource(Rotary.Pairing.class)
    void rotaryTurnsPairsAndLeavesTheRest(Rotary.Pairing pairing) {
        for (int rotaryDim : new int[] {2, 4, 6, 8}) {
            int headDim = 8;
            int heads = 3;
            int half = rotaryDim / 2;
            int[] positions = {4, 0, 2};
            Tensor x = normal(positions.length, (long) heads * headDim);
            Tensor cos = Tensor.allocate(arena, DType.F32, 5, half);
            Tensor sin = Tensor.allocate(arena, DType.F32, 5, half);
            for (int i = 0; i < 5 * half; i++) {
                int position = i / half;
                double angle = position * Math.pow(100, -(double) (i % half) / half);
                DType.F32.setFloat(cos.segment(), i, (float) Math.cos(angle));
                DType.F32.setFloat(sin.segment(), i, (float) Math.sin(angle));
            }
            double[] expected = new double[positions.length * heads * headDim];
            for (int i = 0; i < expected.length; i++) {
                expected[i] = x.getFloat(i);
            }
            for (int row = 0; row < positions.length; row++) {
                for (int head = 0; head < heads; head++) {
                    for (int pair = 0; pair < half; pair++) {
                        int start = (row * heads + head) * headDim;
                        boolean split = pairing == Rotary.Pairing.HALF_SPLIT;
                        int a = start + (split ? pair : 2 * pair);
                        int b = start + (split ? pair + half : 2 * pair + 1);
                        double angle = positions[row] * Math.pow(100, -(double) pair / half);
                        expected[a] = x.getFloat(a) * Math.cos(angle) - x.getFloat(b) * Math.sin(angle);
                        expected[b] = x.getFloat(b) * Math.cos(angle) + x.getFloat(a) * Math.sin(angle);
                    }
                }
            }
            Tensor at = Tensor.copyOf(arena, positions, positions.length);
            assertClose(run(new Rotary(headDim, rotaryDim, pairing), x, cos, sin, at), expected);
        }
    }

    @Test
    void rotaryRefusesAnOddNumberOfElements() {
        assertThatThrownBy(() -> new Rotary(8, 3, Rotary.Pairing.HALF_SPLIT)).isInstanceOf(ShapeException.class);
        assertThatThrownBy(() -> new Rotary(8, 10, Rotary.Pairing.HALF_SPLIT)).isInstanceOf(ShapeException.class);
    }

    /** Expected: the formulas of the op's comment, evaluated in f64 by Python's {@code math}. */
    @ParameterizedTest
    @CsvSource({
        "SILU, 1, 0.7310585786",
        "SILU, -2, -0.2384058440",
        "SILU, -200, 0",
        "GELU, 1, 0.8413447461",
        "GELU, -0.5, -0.1542687694",
        "GELU_TANH, 1, 0.8411919906",
        "GELU_TANH, -0.5, -0.1542859990",
        "RELU, 1.5, 1.5",
        "RELU, -1.5, 0",
    })
    void activations(Activation.Kind kind, float x, double expected) {
        float[] y = run(new Activation(kind), f32(new float[] {x, Float.NaN}, 1, 2));
        assertThat((double) y[0]).isCloseTo(expected, within(3e-7));
        assertThat(y[1]).isNaN();
    }

    @Test
    void thresholdSelectKeepsWhatIsAboveAndNaN() {
        Tensor x = f32(new float[] {-2, -1, -0.5f, -0f, 0, 1, 1.5f, Float.NaN}, 1, 8);
        assertThat(run(new ThresholdSelect(1), x)).containsExactly(-2, 0, 0, 0, 0, 0, 1.5f, Float.NaN);
        assertThat(run(new ThresholdSelect(0), x)).containsExactly(-2, -1, -0.5f, 0, 0, 1, 1.5f, Float.NaN);
        assertThatThrownBy(() -> new InputSelection.Threshold(-1)).isInstanceOf(ShapeException.class);
    }

    /** Of x = [3 -1 2 -2] the selection keeps {@code kept}. */
    private void assertKeeps(InputSelection selection, List<Integer> kept, Tensor... operand) {
        float[] x = {3, -1, 2, -2};
        float[] weight = {1, 10, 100, 1000, 1, 1, 1, 1};
        float first = 0.5f;
        float second = 0.25f;
        for (int i : kept) {
            first += x[i] * weight[i];
            second += x[i];
        }
        List<Tensor> inputs = new ArrayList<>(List.of(f32(x, 1, 4), f32(weight, 2, 4)));
        inputs.addAll(List.of(operand));
        inputs.add(f32(new float[] {0.5f, 0.25f}, 2));
        assertThat(run(new SparseLinear(selection, true), inputs.toArray(Tensor[]::new)))
                .containsExactly(first, second);
    }

    @Test
    void sparseLinearReadsTheSelectedInputsOnly() {
        assertKeeps(new InputSelection.Threshold(0), List.of(0, 1, 2, 3));
        assertKeeps(new InputSelection.Threshold(1), List.of(0, 2, 3));
        assertKeeps(new InputSelection.Threshold(2), List.of(0));
        assertKeeps(new InputSelection.ChannelThreshold(), List.of(1, 3), f32(new float[] {3, 0.5f, 2.5f, 1.9f}, 4));
        assertKeeps(new InputSelection.TopK(1), List.of(0));
        assertKeeps(new InputSelection.TopK(2), List.of(0, 2)); // |2| and |-2| tie
        assertKeeps(new InputSelection.TopK(0), List.of());
        assertKeeps(new InputSelection.WeightedTopK(2), List.of(1, 3), f32(new float[] {0.5f, 4, 1, 1.5f}, 4));
    }

    @Test
    void eachRowSelectsForItself() {
        Tensor x = f32(new float[] {3, 1, 1, 3}, 2, 2);
        Tensor weight = f32(new float[] {1, 10}, 1, 2);
        assertThat(run(new SparseLinear(new InputSelection.TopK(1), false), x, weight))
                .containsExactly(3, 30);
    }

    @ParameterizedTest
    @ValueSource(floats = {0, 5})
    void noSelectionDropsNaN(float threshold) {
        Tensor x = f32(new float[] {1, Float.NaN, 2}, 1, 3);
        Tensor weight = f32(new float[] {1, 0, 1}, 1, 3);
        Tensor thresholds = f32(new float[] {threshold, threshold, threshold}, 3);
        assertThat(run(new SparseLinear(new InputSelection.Threshold(threshold), false), x, weight))
                .containsExactly(Float.NaN);
        assertThat(run(new SparseLinear(new InputSelection.ChannelThreshold(), false), x, weight, thresholds))
                .containsExactly(Float.NaN);
        assertThat(run(new SparseLinear(new InputSelection.TopK(1), false), x, weight))
                .containsExactly(Float.NaN);
        assertThat(run(new SparseLinear(new InputSelection.WeightedTopK(1), false), x, weight, thresholds))
                .containsExactly(Float.NaN);
    }

    @Test
    void maskedLinearComputesTheOutputsThatAreSet() {
        Tensor x = f32(new float[] {1, 2}, 1, 2);
        Tensor weight = f32(new float[] {1, 1, 2, 2, 3, 3, Float.NaN, 0}, 4, 2);
        Tensor mask = f32(new float[] {1, -0f, Float.NaN, 0}, 1, 4);
        Tensor bias = f32(new float[] {10, 20, 30, 40}, 4);
        assertThat(run(new MaskedLinear(false), x, weight, mask)).containsExactly(3, 0, 9, 0);
        assertThat(run(new MaskedLinear(true), x, weight, mask, bias)).containsExactly(13, 0, 39, 0);
    }
}
