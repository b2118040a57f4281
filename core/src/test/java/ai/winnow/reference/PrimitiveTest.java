package ai.winnow.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ir.Op;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Compare;
import ai.winnow.ir.Primitive.Reduce;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Each primitive against values worked out by hand. */
class PrimitiveTest {

    private static final float NAN = Float.NaN;
    private static final float INF = Float.POSITIVE_INFINITY;

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    private Tensor f32(List<Integer> sizes, double... values) {
        return of(DType.F32, sizes, values);
    }

    private Tensor of(DType type, List<Integer> sizes, double... values) {
        long[] shape = sizes.stream().mapToLong(Integer::longValue).toArray();
        Tensor tensor = Tensor.allocate(arena, TensorSpec.of(type, shape), Layout.ROW_MAJOR);
        assertThat(tensor.shape().maxElements()).isEqualTo(values.length);
        for (int i = 0; i < values.length; i++) {
            type.setFloat(tensor.segment(), i, (float) values[i]);
        }
        return tensor;
    }

    private Tensor run(Op op, Tensor... inputs) {
        return Interpreter.evaluate(op, List.of(inputs), arena).getFirst();
    }

    private float[] values(Op op, Tensor... inputs) {
        return run(op, inputs).toFloats();
    }

    @ParameterizedTest
    @CsvSource({
        "NEG, 1.5, -1.5",
        "NEG, 0, -0",
        "ABS, -2, 2",
        "EXP, 1, 2.7182817",
        "EXP, -Infinity, 0",
        "LOG, 10, 2.3025851",
        "LOG, 0, -Infinity",
        "LOG, -1, NaN",
        "SQRT, 2, 1.4142135",
        "RSQRT, 4, 0.5",
        "RSQRT, 0, Infinity",
        "SIGMOID, 0, 0.5",
        "SIGMOID, -1000, 0",
        "SIGMOID, 2, 0.8807971",
        "TANH, 0.5, 0.46211717",
        "TANH, 100, 1",
        "ERF, 0.5, 0.5204999",
        "ERF, -1, -0.8427008",
        "ERF, 3, 0.9999779",
        "ERF, 50, 1",
        "ERF, 0, 0",
        "SIN, 1, 0.84147096",
        "COS, 1, 0.5403023",
        "RELU, -3, 0",
        "RELU, 3, 3",
    })
    void unaryFunctions(Unary.Function function, float x, float expected) {
        float[] result = values(new Unary(function), f32(List.of(2), x, NAN));
        assertThat(Float.floatToIntBits(result[0])).as("%s", result[0]).isEqualTo(Float.floatToIntBits(expected));
        assertThat(result[1]).as("NaN stays NaN").isNaN();
    }

    @Test
    void notFlipsABool() {
        assertThat(values(new Unary(Unary.Function.NOT), of(DType.BOOL, List.of(2), 0, 1)))
                .containsExactly(1, 0);
    }

    @ParameterizedTest
    @CsvSource({
        "ADD, 3, 2, 5",
        "SUB, 3, 2, 1",
        "MUL, 3, 2, 6",
        "DIV, 3, 2, 1.5",
        "DIV, 3, 0, Infinity",
        "MAX, 3, NaN, NaN",
        "MAX, -1, 2, 2",
        "MIN, NaN, 3, NaN",
        "MIN, -1, 2, -1",
        "ADD, Infinity, -Infinity, NaN",
    })
    void binaryOperators(Binary.Operator operator, float a, float b, float expected) {
        assertThat(values(new Binary(operator), f32(List.of(1), a), f32(List.of(1), b)))
                .containsExactly(expected);
    }

    @Test
    void logicOfBools() {
        Tensor a = of(DType.BOOL, List.of(4), 0, 0, 1, 1);
        Tensor b = of(DType.BOOL, List.of(4), 0, 1, 0, 1);
        assertThat(values(new Binary(Binary.Operator.AND), a, b)).containsExactly(0, 0, 0, 1);
        assertThat(values(new Binary(Binary.Operator.OR), a, b)).containsExactly(0, 1, 1, 1);
    }

    @Test
    void anF32SumIsRoundedOnce() {
        Tensor one = f32(List.of(1), 1);
        Tensor tiny = f32(List.of(1), 0x1p-24 + 0x1p-40);
        assertThat(values(new Binary(Binary.Operator.ADD), one, tiny)).containsExactly(1 + 0x1p-23f);
    }

    @Test
    void integersBeyondTheFloatsStayExact() {
        Tensor a = Tensor.copyOf(arena, new int[] {16_777_217}, 1);
        Tensor b = Tensor.copyOf(arena, new int[] {2}, 1);
        Tensor sum = run(new Binary(Binary.Operator.ADD), a, b);
        assertThat(sum.segment().get(ValueLayout.JAVA_INT, 0)).isEqualTo(16_777_219);
    }

    @Test
    void operandsBroadcastAsInNumpy() {
        Tensor column = f32(List.of(2, 1), 10, 20);
        Tensor row = f32(List.of(3), 1, 2, 3);
        assertThat(run(new Binary(Binary.Operator.ADD), column, row).shape()).isEqualTo(Shape.of(2, 3));
        assertThat(values(new Binary(Binary.Operator.ADD), column, row)).containsExactly(11, 12, 13, 21, 22, 23);
        Tensor cube = f32(List.of(2, 1, 2), 1, 2, 3, 4);
        Tensor middle = f32(List.of(3, 1), 10, 20, 30);
        assertThat(values(new Binary(Binary.Operator.SUB), middle, cube))
                .containsExactly(9, 8, 19, 18, 29, 28, 7, 6, 17, 16, 27, 26);
        Tensor scalar = f32(List.of(), 5);
        assertThat(values(new Binary(Binary.Operator.MUL), scalar, row)).containsExactly(5, 10, 15);
    }

    @ParameterizedTest
    @CsvSource({
        "EQUAL, 0, 1, 0, 1, 0",
        "NOT_EQUAL, 1, 0, 1, 0, 1",
        "LESS, 1, 0, 0, 0, 0",
        "LESS_OR_EQUAL, 1, 1, 0, 1, 0"
    })
    void comparisons(Compare.Relation relation, int less, int equal, int greater, int zeros, int nan) {
        Tensor a = f32(List.of(5), 1, 2, 3, -0.0, NAN);
        Tensor b = f32(List.of(5), 2, 2, 2, 0, NAN);
        Tensor result = run(new Compare(relation), a, b);
        assertThat(result.dtype()).isEqualTo(DType.BOOL);
        assertThat(result.toFloats()).containsExactly(less, equal, greater, zeros, nan);
    }

    @Test
    void selectTakesFromOneOrTheOther() {
        Tensor condition = of(DType.BOOL, List.of(2, 1), 1, 0);
        assertThat(values(new Primitive.Select(), condition, f32(List.of(2), 1, NAN), f32(List.of(1), -1)))
                .containsExactly(1, NAN, -1, -1);
    }

    @Test
    void castRoundsFloatsToNearestEvenAndTruncatesIntegers() {
        Tensor x = f32(List.of(4), 1 + 0x1p-8, 1 + 3 * 0x1p-8, -1.75, 0);
        assertThat(values(new Primitive.Cast(DType.BF16), x)).containsExactly(1, 1 + 0x1p-6f, -1.75f, 0);
        assertThat(values(new Primitive.Cast(DType.I32), x)).containsExactly(1, 1, -1, 0);
        assertThat(values(new Primitive.Cast(DType.BOOL), x)).containsExactly(1, 1, 1, 0);
        assertThat(values(new Primitive.Cast(DType.F32), of(DType.F16, List.of(1), 0.1)))
                .containsExactly(0.099975586f);
    }

    @Test
    void everyReadableTypeIsReadAndWritten() {
        for (DType type : DType.values()) {
            if (type.readable()) {
                Tensor x = of(type, List.of(2), 0, 1);
                assertThat(values(new Primitive.Cast(DType.F32), x))
                        .as("%s", type)
                        .containsExactly(0, 1);
                assertThat(values(new Primitive.Cast(type), f32(List.of(2), 0, 1)))
                        .as("%s", type)
                        .containsExactly(0, 1);
            }
        }
    }

    @Test
    void constantAndIota() {
        assertThat(values(new Primitive.Constant(2.5f, TensorSpec.of(DType.F32, 2, 2))))
                .containsExactly(2.5f, 2.5f, 2.5f, 2.5f);
        assertThat(values(new Primitive.Iota(4))).containsExactly(0, 1, 2, 3);
    }

    @Test
    void reduceAlongEachAxis() {
        Tensor x = f32(List.of(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
        assertThat(values(new Reduce(Reduce.Reduction.SUM, 0), x)).containsExactly(6, 8, 10, 12);
        assertThat(values(new Reduce(Reduce.Reduction.SUM, 1), x)).containsExactly(4, 6, 12, 14);
        assertThat(values(new Reduce(Reduce.Reduction.MAX, 2), x)).containsExactly(2, 4, 6, 8);
        assertThat(values(new Reduce(Reduce.Reduction.MIN, 0), x)).containsExactly(1, 2, 3, 4);
        assertThat(run(new Reduce(Reduce.Reduction.SUM, 1), x).shape()).isEqualTo(Shape.of(2, 1, 2));
    }

    @Test
    void reductionsPropagateNaN() {
        Tensor x = f32(List.of(1, 3), 1, NAN, 3);
        for (Reduce.Reduction reduction : Reduce.Reduction.values()) {
            assertThat(values(new Reduce(reduction, 1), x)).containsExactly(NAN);
        }
    }

    @Test
    void sumsLoseNothingOnTheWay() {
        assertThat(values(new Reduce(Reduce.Reduction.SUM, 0), f32(List.of(3), 1e8, 1, -1e8)))
                .containsExactly(1);
        assertThat(values(new Primitive.CumulativeSum(), f32(List.of(3), 1e8, 1, -1e8)))
                .containsExactly(1e8f, 1e8f, 1);
        assertThat(values(new Primitive.MatMul(), f32(List.of(1, 3), 1e8, 1, -1e8), f32(List.of(1, 3), 1, 1, 1)))
                .containsExactly(1);
    }

    @Test
    void reducingNothingGivesTheNeutralElement() {
        Tensor none = f32(List.of(2, 0));
        assertThat(values(new Reduce(Reduce.Reduction.SUM, 1), none)).containsExactly(0, 0);
        assertThat(values(new Reduce(Reduce.Reduction.MAX, 1), none)).containsExactly(-INF, -INF);
        assertThat(values(new Reduce(Reduce.Reduction.MIN, 1), none)).containsExactly(INF, INF);
    }

    @Test
    void cumulativeSumBeginsAnewInEachRow() {
        assertThat(values(new Primitive.CumulativeSum(), f32(List.of(2, 3), 1, 2, 3, 10, NAN, 1)))
                .containsExactly(1, 3, 6, 10, NAN, NAN);
    }

    @Test
    void argMaxTiesGoToTheLowerIndexAndNaNIsGreatest() {
        Tensor x = f32(List.of(5, 3), 1, 3, 3, -0.0, 0, -1, INF, NAN, NAN, -INF, -INF, -INF, 5, 4, 3);
        Tensor result = run(new Primitive.ArgMax(), x);
        assertThat(result.spec()).isEqualTo(TensorSpec.of(DType.I32, 5, 1));
        assertThat(result.toFloats()).containsExactly(1, 0, 1, 0, 0);
    }

    @Test
    void topKTiesGoToTheLowerIndexAndNaNIsGreatest() {
        Tensor x =
                f32(List.of(5, 4), 1, 3, 3, 3, -0.0, 0, 0, -1, INF, NAN, 1, NAN, NAN, NAN, NAN, INF, -1, -2, -3, -INF);
        Tensor result = run(new Primitive.TopKMask(2), x);
        assertThat(result.dtype()).isEqualTo(DType.BOOL);
        assertThat(result.toFloats()).containsExactly(0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0);
    }

    @Test
    void topKKeepsNoneOrAll() {
        Tensor x = f32(List.of(1, 3), 1, NAN, 3);
        assertThat(values(new Primitive.TopKMask(0), x)).containsExactly(0, 0, 0);
        assertThat(values(new Primitive.TopKMask(3), x)).containsExactly(1, 1, 1);
        assertThat(values(new Primitive.TopKMask(9), x)).containsExactly(1, 1, 1);
    }

    @Test
    void matMulIsTheProductOfALinearLayer() {
        Tensor x = f32(List.of(2, 3), 1, 2, 3, 4, 5, 6);
        Tensor weight = of(DType.BF16, List.of(2, 3), 1, 0, -1, 0.5, 0.5, 0.5);
        Tensor y = run(new Primitive.MatMul(), x, weight);
        assertThat(y.spec()).isEqualTo(TensorSpec.of(DType.F32, 2, 2));
        assertThat(y.toFloats()).containsExactly(-2, 3, -2, 7.5f);
        assertThat(values(new Primitive.MatMul(), f32(List.of(1, 2), NAN, 1), f32(List.of(1, 2), 0, 1)))
                .containsExactly(NAN);
    }

    @Test
    void reshapeKeepsTheOrder() {
        Tensor x = f32(List.of(2, 3), 1, 2, 3, 4, 5, 6);
        Tensor y = run(new Primitive.Reshape(Shape.of(3, 2)), x);
        assertThat(y.shape()).isEqualTo(Shape.of(3, 2));
        assertThat(y.toFloats()).containsExactly(1, 2, 3, 4, 5, 6);
    }

    @Test
    void transposePermutesTheAxes() {
        Tensor x = f32(List.of(2, 3), 1, 2, 3, 4, 5, 6);
        assertThat(values(new Primitive.Transpose(List.of(1, 0)), x)).containsExactly(1, 4, 2, 5, 3, 6);
        Tensor cube = f32(List.of(2, 1, 3), 1, 2, 3, 4, 5, 6);
        Tensor y = run(new Primitive.Transpose(List.of(2, 0, 1)), cube);
        assertThat(y.shape()).isEqualTo(Shape.of(3, 2, 1));
        assertThat(y.toFloats()).containsExactly(1, 4, 2, 5, 3, 6);
    }

    @Test
    void sliceCutsOneAxis() {
        Tensor x = f32(List.of(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
        assertThat(values(new Primitive.Slice(0, 1, 2), x)).containsExactly(5, 6, 7, 8);
        assertThat(values(new Primitive.Slice(1, 0, 1), x)).containsExactly(1, 2, 5, 6);
        assertThat(values(new Primitive.Slice(2, 1, 2), x)).containsExactly(2, 4, 6, 8);
        assertThat(values(new Primitive.Slice(2, 1, 1), x)).isEmpty();
    }

    @Test
    void concatJoinsAlongOneAxis() {
        Tensor a = f32(List.of(2, 1), 1, 2);
        Tensor b = f32(List.of(2, 2), 3, 4, 5, 6);
        assertThat(values(new Primitive.Concat(1), a, b)).containsExactly(1, 3, 4, 2, 5, 6);
        assertThat(values(new Primitive.Concat(0), b, b)).containsExactly(3, 4, 5, 6, 3, 4, 5, 6);
        assertThat(values(new Primitive.Concat(0), a)).containsExactly(1, 2);
    }

    @Test
    void gatherReadsTheNamedRows() {
        Tensor table = of(DType.I8, List.of(3, 2), 1, 2, 3, 4, 5, 6);
        Tensor rows = Tensor.copyOf(arena, new int[] {2, 0, 2}, 3);
        assertThat(values(new Primitive.Gather(), table, rows)).containsExactly(5, 6, 1, 2, 5, 6);
        Tensor outside = Tensor.copyOf(arena, new int[] {3}, 1);
        assertThatThrownBy(() -> run(new Primitive.Gather(), table, outside))
                .isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void scatterAddAddsEveryUpdate() {
        Tensor base = f32(List.of(3, 2), 1, 1, 2, 2, 3, 3);
        Tensor rows = Tensor.copyOf(arena, new int[] {2, 0, 2}, 3);
        Tensor updates = f32(List.of(3, 2), 10, 20, 30, 40, 50, 60);
        assertThat(values(new Primitive.ScatterAdd(), base, rows, updates)).containsExactly(31, 41, 2, 2, 63, 83);
        assertThat(base.toFloats()).as("the base stays").containsExactly(1, 1, 2, 2, 3, 3);
    }

    @Test
    void erfAgreesWithItsDerivative() {
        float h = 0x1p-6f;
        for (float x = -5; x <= 5; x += 0.25f) {
            float[] y = values(new Unary(Unary.Function.ERF), of(DType.F32, List.of(2), x - h, x + h));
            double slope = 2 / Math.sqrt(Math.PI) * Math.exp(-(double) x * x);
            assertThat((double) (y[1] - y[0]) / (2 * h)).isCloseTo(slope, within(3e-4));
        }
    }
}
