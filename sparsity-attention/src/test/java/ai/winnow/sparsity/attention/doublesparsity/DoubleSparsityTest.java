package ai.winnow.sparsity.attention.doublesparsity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.SelectChannels;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.SparseAttention;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.Interpreter;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.attention.doublesparsity.DoubleSparsity.Ranking;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

class DoubleSparsityTest {

    private static DoubleSparsity small(int budget, Ranking ranking, boolean perHead) {
        return new DoubleSparsity(budget, 2, ranking, 0, 0, perHead, perHead ? DType.F32 : DType.BF16);
    }

    @Nested
    class Shared extends Method {
        Shared() {
            super(Ranking.Q, false);
        }
    }

    @Nested
    class PerHead extends Method {
        PerHead() {
            super(Ranking.QK, true);
        }
    }

    @Nested
    class ByKeys extends Method {
        ByKeys() {
            super(Ranking.K, true);
        }
    }

    /** The contract, with lists and rankings of each kind. */
    abstract static class Method extends SparsityMethodContract {

        private final Ranking ranking;
        private final boolean perHead;

        Method(Ranking ranking, boolean perHead) {
            this.ranking = ranking;
            this.perHead = perHead;
        }

        @Override
        protected MethodProvider provider() {
            return new DoubleSparsityProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return small(Integer.MAX_VALUE, ranking, perHead);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(small(20, ranking, perHead), small(8, ranking, perHead), small(1, ranking, perHead));
        }

        @Override
        protected List<String> badSpecs() {
            return List.of(
                    "double-sparsity:budget=0",
                    "double-sparsity:budget=-3",
                    "double-sparsity:0.5",
                    "double-sparsity:factor=0",
                    "double-sparsity:rank=v",
                    "double-sparsity:labels=i8",
                    "double-sparsity:labels=int4",
                    "double-sparsity:budget=8,nobodys=1");
        }

        @Override
        protected List<TinyModel> models() {
            return List.of(TinyModel.llama(1), TinyModel.grouped(2));
        }
    }

    /** With whole labels the ranking is exact: the best keys of attention itself. */
    @Test
    void wholeLabelsAndABudgetOfAllAreDense() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            int context = dense.limits().contextLength();
            SparsityMethod all = new DoubleSparsity(context, 1, Ranking.Q, 0, 0, false, DType.F32);
            for (Phase phase : List.of(Phase.PREFILL, Phase.DECODE)) {
                Graph graph = dense.denseGraph(phase);
                assertThat(all.rewrites(Artefact.EMPTY))
                        .filteredOn(rewrite -> rewrite.phases().contains(phase))
                        .hasSize(1)
                        .allSatisfy(rewrite ->
                                assertThat(rewrite.change().apply(graph)).isSameAs(graph));
            }
        }
    }

    @Test
    void aModelWithoutASparseLayerIsRefused() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            SparsityPolicy policy = SparsityPolicy.of(DoubleSparsity.of(8));
            Map<String, Artefact> artefacts = CalibrationRun.calibrate(dense, policy, data());
            assertThatThrownBy(() -> dense.withPolicy(policy, artefacts))
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining("dense=0");
        }
    }

    @Test
    void theExplanationSaysWhatIsReadAndKept() {
        DoubleSparsity method = new DoubleSparsity(8, 4, Ranking.Q, 1, 0, false, DType.F32);
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of());
                SparseModel model = dense.withPolicy(
                        SparsityPolicy.of(method),
                        Map.of(method.info().name(), CalibrationRun.calibrate(dense, method, data())))) {
            // One of two layers is dense; of 96 keys of 8 and their values the other reads 8, and labels of 2 in two
            // pages: 96 + 8 + 16 of 192.
            assertThat(model.limits().contextLength()).isEqualTo(96);
            assertThat(model.explain())
                    .contains("beside keys: double-sparsity, 2 numbers of F32 for each key")
                    .contains("62.5 % of what dense attention reads");
            assertThat(dense.explain()).doesNotContain("of what dense attention reads");
        }
    }

    private static CalibrationData data() {
        return CalibrationData.of(TinyModel.windows(11, 1, 9));
    }

    @Test
    void channelsThatAreNoneAreRefused() {
        DoubleSparsity method = small(8, Ranking.Q, false);
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Artefact made = CalibrationRun.calibrate(dense, method, data());
            Map<String, Tensor> tensors = new HashMap<>(made.tensors());
            Tensor channels = made.tensor("double-sparsity/q.layer.0");
            int[] wrong = new int[Math.toIntExact(channels.shape().maxElements())];
            for (int twice : new int[] {0, -1, 1 << 20}) {
                Arrays.setAll(wrong, i -> (int) channels.getFloat(i));
                wrong[1] = twice == 0 ? wrong[0] : twice;
                tensors.put(
                        "double-sparsity/q.layer.0",
                        Tensor.copyOf(
                                Arena.ofAuto(),
                                wrong,
                                channels.shape().max(0),
                                channels.shape().max(1)));
                Artefact broken = new Artefact(
                        made.method(),
                        made.parameters(),
                        made.modelFingerprint(),
                        made.dataFingerprint(),
                        made.createdAt(),
                        tensors);
                assertThatThrownBy(() -> dense.withPolicy(
                                SparsityPolicy.of(method), Map.of(method.info().name(), broken)))
                        .isInstanceOf(ArtefactException.class)
                        .hasMessageContaining("each channel of a head once");
            }
        }
    }

    /** The card of the method: four keys of four channels, two of each. */
    @Test
    void theWorkedExampleComesOutDigitForDigit() {
        assertThat(attend(2, 3)).containsExactly(new float[] {2.924234f, 0.268941f}, within(1e-6f));
        assertThat(attend(2, 0)).containsExactly(new float[] {0.755081f, 1.377541f}, within(1e-6f));
    }

    /** The last of four keys' attention over the two that {@code channels} rank best; the first two numbers of the result. */
    private static float[] attend(int... channels) {
        KvShape shape = new KvShape(1, 1, 4, 1, 64, DType.F32);
        KvPlane plane = new KvPlane("labels", DType.F32, 2, 1);
        float[][] k = {{1, 3, 0, 0}, {0, 0, 1, 1}, {2, 0, 0, 2}, {0, 1, 1, -1}};
        float[][] v = {{1, 0}, {0, 1}, {2, 2}, {4, 0}};
        float[] keys = new float[64 * 4];
        float[] values = new float[64 * 4];
        float[] labels = new float[2 * 64];
        for (int key = 0; key < k.length; key++) {
            System.arraycopy(k[key], 0, keys, 4 * key, 4);
            System.arraycopy(v[key], 0, values, 4 * key, 2);
            for (int j = 0; j < 2; j++) {
                labels[Math.toIntExact(plane.at(0, j, key))] = k[key][channels[j]];
            }
        }
        try (Arena arena = Arena.ofConfined()) {
            Tensor query = Tensor.copyOf(arena, new float[] {1, 0, 2, -1}, 1, 4);
            Tensor heavy = Tensor.copyOf(arena, channels, 1, 2);
            Tensor zero = Tensor.copyOf(arena, new int[] {0}, 1);
            Tensor indptr = Tensor.copyOf(arena, new int[] {0, 1}, 2);
            Tensor table = Tensor.copyOf(arena, new int[] {0}, 1, 1, 1, 1);
            Tensor lengths = Tensor.copyOf(arena, new int[] {3}, 1, 1, 1);
            SelectKeys select = SelectKeys.of(shape, 0, 1, 1, 1, new KeyRule.TopK(2), 0, 0, 0);
            Tensor label = evaluate(new SelectChannels(1, 4, 1, 2), List.of(query, heavy), arena)
                    .getFirst();
            Tensor scores = evaluate(
                            new ScoreKeys(select.keys(), 0, plane, 1, 1, ScoreKeys.Reduction.GREATEST, 0),
                            List.of(label, zero, indptr, zero, Tensor.copyOf(arena, labels, 1, 2, 64), table, lengths),
                            arena)
                    .getFirst();
            List<Tensor> operands = new ArrayList<>(List.of(query));
            operands.addAll(evaluate(select, List.of(scores, zero, indptr, zero, lengths), arena));
            operands.addAll(List.of(
                    zero,
                    indptr,
                    zero,
                    Tensor.copyOf(arena, keys, 1, 64, 4),
                    Tensor.copyOf(arena, values, 1, 64, 4),
                    table,
                    lengths));
            Attention attention = new Attention(shape, 0, 1, 0.5f, 0);
            float[] result = evaluate(new SparseAttention(attention, select.keys()), operands, arena)
                    .getFirst()
                    .toFloats();
            return Arrays.copyOf(result, 2);
        }
    }

    private static List<Tensor> evaluate(Op op, List<Tensor> inputs, Arena arena) {
        return Interpreter.evaluate(op, inputs, Map.of(), arena);
    }
}
