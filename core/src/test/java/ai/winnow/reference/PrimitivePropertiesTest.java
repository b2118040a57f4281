package ai.winnow.reference;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.Op;
import ai.winnow.ir.Primitive;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class PrimitivePropertiesTest {

    private static float[] run(Op op, Arena arena, Tensor... inputs) {
        return Interpreter.evaluate(op, List.of(inputs), arena).getFirst().toFloats();
    }

    /** A tensor {@code sizes} of 1, 2, 3, ... */
    private static Tensor counting(Arena arena, int... sizes) {
        int count = 1;
        long[] shape = new long[sizes.length];
        for (int i = 0; i < sizes.length; i++) {
            shape[i] = sizes[i];
            count *= sizes[i];
        }
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = i + 1;
        }
        return Tensor.copyOf(arena, values, shape);
    }

    @Property(tries = 200)
    void topKKeepsExactlyTheGreatest(
            @ForAll @Size(min = 1, max = 40) List<@IntRange(min = -5, max = 5) Integer> numbers,
            @ForAll @IntRange(min = 0, max = 45) int keep) {
        try (Arena arena = Arena.ofConfined()) {
            int n = numbers.size();
            float[] values = new float[n];
            for (int i = 0; i < n; i++) {
                values[i] = numbers.get(i) == 5 ? Float.NaN : numbers.get(i); // 5 stands for NaN, the greatest
            }
            float[] mask = run(new Primitive.TopKMask(keep), arena, Tensor.copyOf(arena, values, 1, n));
            for (int i = 0; i < n; i++) {
                int before = 0;
                for (int j = 0; j < n; j++) {
                    boolean wins =
                            numbers.get(j) > numbers.get(i) || (numbers.get(j).equals(numbers.get(i)) && j < i);
                    before += wins ? 1 : 0;
                }
                assertThat(mask[i]).isEqualTo(before < keep ? 1 : 0);
            }
        }
    }

    @Property(tries = 200)
    void broadcastAddIsTheSumOfWhatTheIndicesName(
            @ForAll @IntRange(min = 1, max = 4) int a,
            @ForAll @IntRange(min = 1, max = 4) int b,
            @ForAll @IntRange(min = 1, max = 4) int c,
            @ForAll @IntRange(min = 0, max = 63) int ones) {
        try (Arena arena = Arena.ofConfined()) {
            int[] x = {(ones & 1) == 0 ? a : 1, (ones & 2) == 0 ? b : 1, (ones & 4) == 0 ? c : 1};
            int[] y = {(ones & 8) == 0 ? a : 1, (ones & 16) == 0 ? b : 1, (ones & 32) == 0 ? c : 1};
            float[] sum = run(
                    new Primitive.Binary(Primitive.Binary.Operator.ADD), arena, counting(arena, x), counting(arena, y));
            int at = 0;
            for (int i = 0; i < Math.max(x[0], y[0]); i++) {
                for (int j = 0; j < Math.max(x[1], y[1]); j++) {
                    for (int k = 0; k < Math.max(x[2], y[2]); k++) {
                        assertThat(sum[at++]).isEqualTo(number(x, i, j, k) + number(y, i, j, k));
                    }
                }
            }
            assertThat(sum).hasSize(at);
        }
    }

    /** The number that {@link #counting} puts at an index, where an axis of one stands for all. */
    private static float number(int[] sizes, int i, int j, int k) {
        int row = Math.min(i, sizes[0] - 1);
        int column = Math.min(j, sizes[1] - 1);
        return (row * sizes[1] + column) * sizes[2] + Math.min(k, sizes[2] - 1) + 1;
    }

    @Property(tries = 100)
    void slicesJoinToTheWhole(
            @ForAll @IntRange(min = 1, max = 4) int a,
            @ForAll @IntRange(min = 1, max = 4) int b,
            @ForAll @IntRange(min = 1, max = 4) int c,
            @ForAll @IntRange(min = 0, max = 2) int axis,
            @ForAll @IntRange(min = 0, max = 4) int cut) {
        try (Arena arena = Arena.ofConfined()) {
            int[] sizes = {a, b, c};
            int at = Math.min(cut, sizes[axis]);
            Tensor x = counting(arena, sizes);
            Tensor low = Interpreter.evaluate(new Primitive.Slice(axis, 0, at), List.of(x), arena)
                    .getFirst();
            Tensor high = Interpreter.evaluate(new Primitive.Slice(axis, at, sizes[axis]), List.of(x), arena)
                    .getFirst();
            assertThat(run(new Primitive.Concat(axis), arena, low, high)).containsExactly(x.toFloats());
        }
    }

    @Property(tries = 100)
    void transposingBackGivesTheSame(
            @ForAll @IntRange(min = 1, max = 4) int a,
            @ForAll @IntRange(min = 1, max = 4) int b,
            @ForAll @IntRange(min = 1, max = 4) int c) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor x = counting(arena, a, b, c);
            Tensor turned = Interpreter.evaluate(new Primitive.Transpose(List.of(1, 2, 0)), List.of(x), arena)
                    .getFirst();
            assertThat(run(new Primitive.Transpose(List.of(2, 0, 1)), arena, turned))
                    .containsExactly(x.toFloats());
        }
    }

    @Property(tries = 500)
    void bf16IsTheNearestAndTiesAreEven(@ForAll float x) {
        short bits = DType.floatToBf16(x);
        float rounded = DType.bf16ToFloat(bits);
        double below = DType.bf16ToFloat((short) (bits - 1));
        double above = DType.bf16ToFloat((short) (bits + 1));
        double error = Math.abs((double) rounded - x);
        if (Float.isFinite(rounded) && rounded != 0) {
            assertThat(error).isLessThanOrEqualTo(Math.abs(below - x)).isLessThanOrEqualTo(Math.abs(above - x));
            boolean tie = error != 0 && (error == Math.abs(below - x) || error == Math.abs(above - x));
            assertThat(!tie || (bits & 1) == 0).isTrue();
        }
    }
}
