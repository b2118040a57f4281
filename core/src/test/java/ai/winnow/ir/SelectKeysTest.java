package ai.winnow.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ShapeException;
import ai.winnow.reference.Interpreter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** One token of one sequence over {@code cached} keys and itself: which of them are chosen. */
class SelectKeysTest {

    private static final int CONTEXT = 200;
    private static final float NAN = Float.NaN;

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    private static SelectKeys op(int unit, KeyRule rule, int first, int recent, int denseUpTo) {
        KvShape shape = new KvShape(1, 1, 8, 1, CONTEXT, DType.F32);
        return SelectKeys.of(shape, 0, 1, 1, unit, rule, first, recent, denseUpTo);
    }

    private List<Integer> chosen(SelectKeys op, float... scores) {
        return chosenOf(scores.length, op, scores);
    }

    private List<Integer> chosenOf(int keys, SelectKeys op, float... scores) {
        List<Tensor> inputs = new ArrayList<>();
        if (op.rule().needsScores()) {
            inputs.add(Tensor.copyOf(arena, Arrays.copyOf(scores, op.unitsPerHead()), 1, op.unitsPerHead()));
        }
        inputs.add(Tensor.copyOf(arena, new int[] {0}, 1));
        inputs.add(Tensor.copyOf(arena, new int[] {0, 1}, 2));
        inputs.add(Tensor.copyOf(arena, new int[] {0}, 1));
        inputs.add(Tensor.copyOf(arena, new int[] {keys - 1}, 1, 1, 1));
        List<Tensor> lists = Interpreter.evaluate(op, inputs, Map.of(), arena);
        boolean[] named = op.keys().named(Operands.of(lists, List.of()), 0, 0, 0);
        return IntStream.range(0, named.length).filter(i -> named[i]).boxed().toList();
    }

    @Test
    void tiesGoToTheLowerIndex() {
        assertThat(chosen(op(1, new KeyRule.TopK(3), 0, 0, 0), 0.6f, 0.1f, 0.5f, 1.2f, 0.6f))
                .containsExactly(0, 3, 4);
        assertThat(chosen(op(1, new KeyRule.TopK(2), 0, 0, 0), 2, 2, 2, 2)).containsExactly(0, 1);
    }

    @Test
    void nanRanksAboveAllNumbers() {
        assertThat(chosen(op(1, new KeyRule.TopK(2), 0, 0, 0), 1, NAN, Float.POSITIVE_INFINITY, 3))
                .containsExactly(1, 2);
        assertThat(chosen(op(1, new KeyRule.Above(5), 0, 0, 0), 1, NAN, 3)).containsExactly(1);
    }

    @Test
    void aBudgetOfAllKeysChoosesThoseThatAreThere() {
        assertThat(chosen(op(1, new KeyRule.TopK(CONTEXT), 0, 0, 0), 3, 1, 2)).containsExactly(0, 1, 2);
    }

    @Test
    void firstAndRecentUnitsComeBesideTheBudget() {
        assertThat(chosen(op(1, new KeyRule.TopK(1), 1, 2, 0), 0, 0, 9, 0, 0, 0))
                .containsExactly(0, 2, 4, 5);
        assertThat(chosenOf(6, op(1, new KeyRule.ByPlace(), 2, 1, 0))).containsExactly(0, 1, 5);
    }

    @Test
    void theLastUnitMayBeShort() {
        assertThat(chosenOf(20, op(16, new KeyRule.TopK(1), 0, 0, 0), 1, 2)).containsExactly(16, 17, 18, 19);
    }

    @Test
    void shortSequencesAreDense() {
        assertThat(chosen(op(1, new KeyRule.TopK(1), 0, 0, 4), 9, 1, 2, 3)).containsExactly(0, 1, 2, 3);
        assertThat(chosen(op(1, new KeyRule.TopK(1), 0, 0, 3), 9, 1, 2, 3)).containsExactly(0);
    }

    @Test
    void massIsReachedWithTheFewest() {
        assertThat(chosen(op(1, new KeyRule.Mass(0.5f), 0, 0, 0), 1, 4, 2, 3)).containsExactly(1, 3);
        assertThat(chosen(op(1, new KeyRule.Mass(0.39f), 0, 0, 0), 1, 4, 2, 3)).containsExactly(1);
        assertThat(chosen(op(1, new KeyRule.Mass(1), 0, 0, 0), 1, 4, 2, 3)).containsExactly(0, 1, 2, 3);
    }

    @Test
    void whatChoosesNothingIsRefused() {
        assertThatThrownBy(() -> new KeyRule.TopK(0))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("budget");
        assertThatThrownBy(() -> new KeyRule.Mass(0)).isInstanceOf(ShapeException.class);
        assertThatThrownBy(() -> op(1, new KeyRule.ByPlace(), 0, 0, 0)).isInstanceOf(ShapeException.class);
        assertThatThrownBy(() -> op(48, new KeyRule.TopK(1), 0, 0, 0))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("48");
    }
}
