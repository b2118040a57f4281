package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.Map;
import org.junit.jupiter.api.Test;

class RandomWeightsTest {

    private static final String MATRIX = "model.embed_tokens.weight";

    @Test
    void theSeedDecidesEveryBit() {
        float[] first = values(new RandomWeights(ModelShape.TINY.tensors(DType.BF16), 1), MATRIX);
        assertThat(values(new RandomWeights(ModelShape.TINY.tensors(DType.BF16), 1), MATRIX))
                .isEqualTo(first);
        assertThat(values(new RandomWeights(ModelShape.TINY.tensors(DType.BF16), 2), MATRIX))
                .isNotEqualTo(first);
    }

    @Test
    void f32HoldsTheSameNumbersAsBf16() {
        assertThat(values(new RandomWeights(ModelShape.TINY.tensors(DType.F32), 1), MATRIX))
                .isEqualTo(values(new RandomWeights(ModelShape.TINY.tensors(DType.BF16), 1), MATRIX));
    }

    @Test
    void matricesAreNormalAndVectorsAreOne() {
        // 3 x 350003 elements: chunks that end between words
        RandomWeights weights = new RandomWeights(
                Map.of("matrix", TensorSpec.of(DType.BF16, 3, 350_003), "norm", TensorSpec.of(DType.BF16, 5)), 3);
        float[] values = values(weights, "matrix");
        double mean = 0;
        double square = 0;
        double fourth = 0;
        for (float value : values) {
            mean += value / values.length;
            square += (double) value * value / values.length;
            fourth += Math.pow(value, 4) / values.length;
        }
        assertThat(mean).isCloseTo(0, within(1e-4));
        assertThat(Math.sqrt(square)).isCloseTo(0.02, within(2e-4));
        assertThat(fourth / (square * square)).as("kurtosis").isCloseTo(3, within(0.1));
        assertThat(values(weights, "norm")).containsOnly(1f);
    }

    @Test
    void twoTensorsOfOneShapeDiffer() {
        RandomWeights weights = new RandomWeights(ModelShape.TINY.tensors(DType.BF16), 1);
        assertThat(values(weights, "model.layers.0.mlp.up_proj.weight"))
                .isNotEqualTo(values(weights, "model.layers.0.mlp.gate_proj.weight"));
    }

    @Test
    void anUnknownNameIsRefused() {
        RandomWeights weights = new RandomWeights(ModelShape.TINY.tensors(DType.BF16), 1);
        assertThatThrownBy(() -> weights.load("nothing", Arena.ofAuto()))
                .isInstanceOf(ArtefactException.class)
                .hasMessageContaining("nothing");
    }

    private static float[] values(RandomWeights weights, String name) {
        try (Arena arena = Arena.ofShared()) {
            return weights.load(name, arena).toFloats();
        }
    }
}
