package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.winnow.examples.LibtorchLinear.Call;
import ai.winnow.examples.LibtorchLinear.Choice;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Whichever call turns out to be the fastest, it computes the same. */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64") // the platform of the native jar that the build takes
class LibtorchLinearTest {

    private static final int INPUTS = 6;
    private static final int OUTPUTS = 10;

    @ParameterizedTest
    @CsvSource({
        "LINEAR,false",
        "MATRIX_MATRIX,false",
        "MATRIX_MATRIX,true",
        "MATRIX_VECTOR,false",
        "MATRIX_VECTOR,true",
        "HALVES,false",
        "HALVES,true",
    })
    void everyCallMultipliesOneRow(Call call, boolean inputsFirst) {
        float[] weight = new float[OUTPUTS * INPUTS];
        float[] x = new float[INPUTS];
        float[] expected = new float[OUTPUTS];
        for (int i = 0; i < INPUTS; i++) {
            x[i] = 1 + i * 0.5f;
            for (int o = 0; o < OUTPUTS; o++) {
                weight[o * INPUTS + i] = (o * 7 + i * 3) % 11 - 5;
                expected[o] += weight[o * INPUTS + i] * x[i];
            }
        }
        try (NDManager manager = Engine.getEngine("PyTorch").newBaseManager()) {
            NDArray rows = manager.create(weight, new Shape(OUTPUTS, INPUTS));
            NDArray stored = inputsFirst ? rows.transpose().add(0) : rows;
            LibtorchLinear linear =
                    new LibtorchLinear(stored, new Choice(inputsFirst, Call.MATRIX_MATRIX, call, Call.MATRIX_MATRIX));
            NDArray y = linear.apply(manager.create(x, new Shape(1, INPUTS)), true);
            assertThat(y.getShape()).isEqualTo(new Shape(1, OUTPUTS));
            assertThat(y.toFloatArray()).containsExactly(expected, within(1e-4f));
        }
    }
}
