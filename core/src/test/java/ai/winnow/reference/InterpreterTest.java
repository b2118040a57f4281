package ai.winnow.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ShapeException;
import ai.winnow.ir.Activation;
import ai.winnow.ir.Fused;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class InterpreterTest {

    private static final Site SITE = Site.of(0, Role.UP);
    private static final WeightRef WEIGHT = WeightRef.model("w", TensorSpec.of(DType.F32, 2, 3));

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    /** {@code relu(x w)} over {@code tokens <= 4} rows. */
    private static Graph layer() {
        GraphBuilder builder = new GraphBuilder(Phase.PREFILL);
        builder.input("tokens", TensorSpec.of(DType.I32, 1));
        Value x = builder.input("x", TensorSpec.rows(DType.F32, new Dim.AtMost(4, "tokens"), 3));
        Value y = builder.add(new Linear(false), SITE, x, builder.weight(WEIGHT));
        return builder.build(List.of(builder.add(new Activation(Activation.Kind.RELU), SITE, y)));
    }

    private Tensor weight(WeightRef ref) {
        assertThat(ref).isEqualTo(WEIGHT);
        return Tensor.copyOf(arena, new float[] {1, 2, 3, -1, 0, 1}, 2, 3);
    }

    @Test
    void aVaryingAxisHasTheSizeItsExtentSays() {
        Tensor x = Tensor.copyOf(arena, new float[] {1, 1, 1, 1, 0, -1, 9, 9, 9, 9, 9, 9}, 4, 3);
        Tensor tokens = Tensor.copyOf(arena, new int[] {2}, 1);
        Tensor y = Interpreter.run(layer(), Map.of("tokens", tokens, "x", x), this::weight, arena)
                .getFirst();
        assertThat(y.spec()).isEqualTo(TensorSpec.of(DType.F32, 2, 2));
        assertThat(y.toFloats()).containsExactly(6, 0, 0, 0);
    }

    @Test
    void withoutAnExtentTheTensorSaysHowManyRowsThereAre() {
        Tensor x = Tensor.copyOf(arena, new float[] {1, 1, 1}, 1, 3);
        Tensor y = Interpreter.run(layer(), Map.of("x", x), this::weight, arena).getFirst();
        assertThat(y.toFloats()).containsExactly(6, 0);
    }

    @Test
    void noRowsGiveNoRows() {
        Tensor x = Tensor.allocate(arena, DType.F32, 4, 3);
        Tensor tokens = Tensor.copyOf(arena, new int[] {0}, 1);
        Tensor y = Interpreter.run(layer(), Map.of("tokens", tokens, "x", x), this::weight, arena)
                .getFirst();
        assertThat(y.spec()).isEqualTo(TensorSpec.of(DType.F32, 0, 2));
    }

    @Test
    void aMissingOrUnfitInputIsNamed() {
        assertThatThrownBy(() -> Interpreter.run(layer(), Map.of(), this::weight, arena))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("x: F32 [tokens<=4, 3]");
        Tensor wide = Tensor.allocate(arena, DType.F32, 1, 5);
        assertThatThrownBy(() -> Interpreter.run(layer(), Map.of("x", wide), this::weight, arena))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("x: F32 [tokens<=4, 3]")
                .hasMessageContaining("F32 [1, 5]");
        Tensor x = Tensor.allocate(arena, DType.F32, 4, 3);
        Tensor five = Tensor.copyOf(arena, new int[] {5}, 1);
        assertThatThrownBy(() -> Interpreter.run(layer(), Map.of("tokens", five, "x", x), this::weight, arena))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("'tokens' is 5, expected 0 to 4");
    }

    /** Keeps the rows whose first element is positive, and says how many they are. */
    private record KeepPositive(String extent) implements Fused.Defined {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            TensorSpec in = inputs.getFirst();
            Dim rows = new Dim.AtMost(in.shape().rowDim().max(), extent);
            return List.of(TensorSpec.rows(in.dtype(), rows, in.shape().max(1)), TensorSpec.of(DType.I32, 1));
        }

        @Override
        public String outputName(int index, Site site) {
            return index == 1 ? extent : site.key();
        }

        @Override
        public void evaluate(Operands operands) {
            int width = Math.toIntExact(operands.input(0).shape().max(1));
            int kept = 0;
            for (int row = 0; row < operands.inRows(0); row++) {
                if (operands.input(0).getFloat((long) row * width) > 0) {
                    for (int i = 0; i < width; i++) {
                        float x = operands.input(0).getFloat((long) row * width + i);
                        DType.F32.setFloat(operands.out(0), (long) kept * width + i, x);
                    }
                    kept++;
                }
            }
            operands.out(1).set(ValueLayout.JAVA_INT, 0, kept);
        }
    }

    @Test
    void aNodeMayMakeAnExtent() {
        GraphBuilder builder = new GraphBuilder(Phase.PREFILL);
        Value x = builder.input("x", TensorSpec.rows(DType.F32, new Dim.AtMost(4, "tokens"), 2));
        Value kept = builder.add(new KeepPositive("kept"), SITE, List.of(x)).getFirst();
        Value same = builder.add(new Activation(Activation.Kind.RELU), SITE, kept);
        Graph graph = builder.build(List.of(same, kept));
        Tensor rows = Tensor.copyOf(arena, new float[] {1, 2, -3, 4, 5, -6}, 3, 2);
        List<Tensor> made = Interpreter.run(graph, Map.of("x", rows), this::weight, arena);
        assertThat(made.getFirst().toFloats()).containsExactly(1, 2, 5, 0);
        assertThat(made.getLast().toFloats()).containsExactly(1, 2, 5, -6);
    }

    @Test
    void oneOpAlone() {
        Op sum = new Primitive.Reduce(Primitive.Reduce.Reduction.SUM, 1);
        Tensor x = Tensor.copyOf(arena, new float[] {1, 2, 3, 4}, 2, 2);
        assertThat(Interpreter.evaluate(sum, List.of(x), arena).getFirst().toFloats())
                .containsExactly(3, 7);
        Tensor varying = Tensor.wrap(x.segment(), TensorSpec.rows(DType.F32, new Dim.AtMost(2, "rows"), 2));
        assertThat(Interpreter.evaluate(sum, List.of(varying), Map.of("rows", 1), arena)
                        .getFirst()
                        .toFloats())
                .containsExactly(3);
    }
}
