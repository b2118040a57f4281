package ai.winnow.sparsity.attention.tidaldecode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.ScoredAttention;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.SparseAttention;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.Interpreter;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

class TidalDecodeTest {

    /** A model of two layers: the first chooses. */
    private static TidalDecode small(int budget, boolean perHead) {
        return new TidalDecode(budget, 0, TidalDecode.AUTOMATIC, perHead);
    }

    @Nested
    class Shared extends Method {
        Shared() {
            super(false);
        }
    }

    @Nested
    class PerHead extends Method {
        PerHead() {
            super(true);
        }
    }

    /** The contract, with lists of either kind. */
    abstract static class Method extends SparsityMethodContract {

        private final boolean perHead;

        Method(boolean perHead) {
            this.perHead = perHead;
        }

        @Override
        protected MethodProvider provider() {
            return new TidalDecodeProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return small(1 << 20, perHead);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(small(20, perHead), small(8, perHead), small(1, perHead));
        }

        @Override
        protected List<String> badSpecs() {
            return List.of(
                    "tidal-decode:budget=0",
                    "tidal-decode:budget=-3",
                    "tidal-decode:budget=much",
                    "tidal-decode:0.5",
                    "tidal-decode:budget=8,select=-1",
                    "tidal-decode:budget=8,per-head=maybe",
                    "tidal-decode:budget=8,nobodys=1");
        }

        @Override
        protected List<TinyModel> models() {
            return List.of(TinyModel.llama(1), TinyModel.grouped(2));
        }
    }

    @Test
    void layersBehindTheSelectionAreSparse() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Graph graph = SparsityPolicy.of(small(8, false))
                    .apply(Map.of(Phase.DECODE, dense.denseGraph(Phase.DECODE)), method -> Artefact.EMPTY)
                    .values()
                    .iterator()
                    .next();
            List<Node> attention = graph.at(Role.ATTENTION);
            assertThat(attention.getFirst().op()).isInstanceOf(ScoredAttention.class);
            assertThat(attention.getLast().op()).isInstanceOf(SparseAttention.class);
            assertThat(graph.nodes()).noneMatch(node -> node.op() instanceof Attention);
        }
    }

    @Test
    void aModelWithoutALayerBehindTheSelectionIsRefused() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            assertThatThrownBy(() -> dense.withPolicy(SparsityPolicy.of(TidalDecode.of(8)), Map.of()))
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining("select=0");
        }
    }

    /** The card of the method: five tokens, values 1 to 5, a budget of three. */
    @Test
    void theWorkedExampleComesOutDigitForDigit() {
        KvShape shape = new KvShape(2, 1, 1, 1, 64, DType.F32);
        Attention first = new Attention(shape, 0, 1, 1, 0);
        Attention second = new Attention(shape, 1, 1, 1, 0);
        SelectKeys select = SelectKeys.of(shape, 0, 1, 1, 1, new KeyRule.TopK(3), 0, 1, 3);
        try (Arena arena = Arena.ofConfined()) {
            float[] keys = Arrays.copyOf(new float[] {2.0f, 0.1f, 1.5f, 0.2f, 0.9f}, 128);
            System.arraycopy(new float[] {0.5f, 2.0f, 1.0f, 0.1f, 1.2f}, 0, keys, 64, 5);
            float[] values = new float[128];
            for (int i = 0; i < 5; i++) {
                values[i] = i + 1;
                values[64 + i] = i + 1;
            }
            List<Tensor> inputs = List.of(
                    Tensor.copyOf(arena, new float[] {1}, 1, 1),
                    Tensor.copyOf(arena, new int[] {0}, 1),
                    Tensor.copyOf(arena, new int[] {0, 1}, 2),
                    Tensor.copyOf(arena, new int[] {0}, 1),
                    Tensor.copyOf(arena, keys, 2, 64, 1),
                    Tensor.copyOf(arena, values, 2, 64, 1),
                    Tensor.copyOf(arena, new int[] {0, 1}, 1, 2, 1, 1),
                    Tensor.copyOf(arena, new int[] {4, 4}, 1, 2, 1));
            List<Tensor> scored = Interpreter.evaluate(new ScoredAttention(first, 1, 0), inputs, Map.of(), arena);
            assertThat(scored.getFirst().getFloat(0)).isCloseTo(2.415098f, within(1e-6f));
            List<Tensor> lists = Interpreter.evaluate(
                    select,
                    List.of(scored.getLast(), inputs.get(1), inputs.get(2), inputs.get(3), inputs.get(7)),
                    Map.of(),
                    arena);
            boolean[] named = select.keys().named(Operands.of(lists, List.of()), 0, 0, 0);
            assertThat(Arrays.copyOf(named, 5)).containsExactly(true, false, true, false, true);
            List<Tensor> sparse = new ArrayList<>(inputs);
            sparse.addAll(1, lists);
            assertThat(Interpreter.evaluate(new SparseAttention(second, select.keys()), sparse, Map.of(), arena)
                            .getFirst()
                            .getFloat(0))
                    .isCloseTo(3.434856f, within(1e-6f));
            assertThat(Interpreter.evaluate(second, inputs, Map.of(), arena)
                            .getFirst()
                            .getFloat(0))
                    .isCloseTo(2.818242f, within(1e-6f));
        }
    }
}
