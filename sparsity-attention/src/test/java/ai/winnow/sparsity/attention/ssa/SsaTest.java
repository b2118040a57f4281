package ai.winnow.sparsity.attention.ssa;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.ShapeException;
import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Derivation;
import ai.winnow.ir.Graph;
import ai.winnow.ir.KeyMeans;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.Interpreter;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;

class SsaTest {

    private static final int[] TEXT = TinyModel.windows(21, 1, 90).getFirst();

    @Nested
    class Plain extends Method {
        Plain() {
            super(false);
        }
    }

    @Nested
    class Gated extends Method {
        Gated() {
            super(true);
        }

        /** Gates leave no model as it is, whatever the number of blocks: only with all blocks and without them is it dense. */
        @Override
        protected List<TinyModel> models() {
            return List.of(gated(TinyModel.llama(1), 1), gated(TinyModel.grouped(2), 1));
        }

        @Override
        protected double luck() {
            return 0; // the gates change far more than the blocks
        }
    }

    /** The contract, with blocks of 16: its texts have 29 tokens, so that two blocks are all. */
    abstract static class Method extends SparsityMethodContract {

        private final boolean gate;

        Method(boolean gate) {
            this.gate = gate;
        }

        @Override
        protected MethodProvider provider() {
            return new SsaProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return new Ssa(16, Integer.MAX_VALUE, false);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(new Ssa(16, 3, gate), new Ssa(16, 2, gate), new Ssa(16, 1, gate));
        }

        @Override
        protected List<String> badSpecs() {
            return List.of(
                    "ssa:blocks=0",
                    "ssa:blocks=-3",
                    "ssa:blocks=much",
                    "ssa:0.5",
                    "ssa:block=8",
                    "ssa:block=48",
                    "ssa:block=128",
                    "ssa:gate=maybe",
                    "ssa:blocks=8,nobodys=1");
        }

        @Override
        protected List<TinyModel> models() {
            return List.of(TinyModel.llama(1), TinyModel.grouped(2));
        }
    }

    @Test
    void decodingTokenByTokenEqualsPrefill() {
        for (Ssa method : List.of(Ssa.of(1), Ssa.of(2), Ssa.of(4), new Ssa(32, 2, false), new Ssa(16, 2, true))) {
            try (SparseModel model = gated(TinyModel.grouped(2), 1).load(SparsityPolicy.of(method), Map.of())) {
                float[][] decoded = decoded(model);
                for (int length : List.of(16, 33, 47, 48, 49, 64, 65, 90)) {
                    assertThat(prefilled(model, length))
                            .as("%s, %d tokens", method.spec(), length)
                            .containsExactly(decoded[length - 1], within(1e-5f));
                }
            }
        }
    }

    @Test
    void whereAllKeysAreChosenSparseEqualsDenseBitForBit() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of());
                SparseModel sparse = dense.withPolicy(SparsityPolicy.of(Ssa.of(2)), Map.of())) {
            float[][] expected = decoded(dense);
            float[][] found = decoded(sparse);
            for (int row = 0; row < 32; row++) {
                assertThat(found[row]).as("row %d", row).isEqualTo(expected[row]);
            }
            for (int row = 32; row < TEXT.length; row++) {
                assertThat(found[row]).as("row %d", row).isNotEqualTo(expected[row]);
            }
            for (int length : List.of(1, 16, 31, 32)) {
                assertThat(prefilled(sparse, length)).as("%d tokens", length).isEqualTo(prefilled(dense, length));
            }
        }
    }

    @Test
    void asManyBlocksAsTheContextHasReturnTheSameGraph() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            for (Phase phase : List.of(Phase.PREFILL, Phase.DECODE)) {
                Graph graph = dense.denseGraph(phase); // of 96 keys
                assertThat(rewritten(graph, Ssa.of(6))).isSameAs(graph);
                assertThat(rewritten(graph, new Ssa(64, 2, false))).isSameAs(graph);
                assertThat(rewritten(graph, Ssa.of(5))).isNotSameAs(graph);
            }
        }
    }

    @Test
    void blocksAreScoredBySharesAndTheOwnOneIsChosenByItsPlace() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            for (Phase phase : List.of(Phase.PREFILL, Phase.DECODE)) {
                Graph graph = rewritten(dense.denseGraph(phase), Ssa.of(3));
                List<Op> ops = graph.nodes().stream().map(Node::op).toList();
                assertThat(ops)
                        .hasAtLeastOneElementOfType(SparseAttention.class)
                        .noneMatch(Attention.class::isInstance);
                assertThat(ops).filteredOn(KeyMeans.class::isInstance).hasSize(2);
                assertThat(ops.stream().filter(ScoreKeys.class::isInstance).map(ScoreKeys.class::cast))
                        .hasSize(2)
                        .allSatisfy(score -> {
                            assertThat(score.reduction()).isEqualTo(ScoreKeys.Reduction.SHARES);
                            assertThat(score.scale()).isEqualTo((float) (1 / Math.sqrt(8)));
                            assertThat(score.keys().lists()).isEqualTo(2);
                            assertThat(score.keys().tileRows()).isEqualTo(1);
                        });
                assertThat(ops.stream().filter(SelectKeys.class::isInstance).map(SelectKeys.class::cast))
                        .hasSize(2)
                        .allSatisfy(select -> {
                            assertThat(select.rule()).isEqualTo(new KeyRule.TopK(2));
                            assertThat(select.unit()).isEqualTo(16);
                            assertThat(select.first()).isZero();
                            assertThat(select.recent()).isEqualTo(1);
                            assertThat(select.denseUpTo()).isEqualTo(48);
                        });
            }
        }
    }

    @Test
    void layersWithASlidingWindowStayDense() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Graph windowed = dense.denseGraph(Phase.DECODE)
                    .mapOps(node -> node.op() instanceof Attention a
                            ? new Attention(a.shape(), a.layer(), a.queryHeads(), a.scale(), 20)
                            : node.op());
            assertThat(rewritten(windowed, Ssa.of(2))).isSameAs(windowed);
        }
    }

    @Test
    void aModelWithoutACacheIsRefused() {
        Graph empty = new Graph(Phase.DECODE, List.of(), List.of(), List.of());
        assertThatThrownBy(() -> rewritten(empty, Ssa.of(2)))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining("ssa");
    }

    /** A gate whose weights are zero is a half, so that a model with halved output layers does the same, in every bit. */
    @Test
    void theGateOfSelectedAttentionHalvesWhereItsWeightsAreZero() {
        for (int blocks : new int[] {2, Integer.MAX_VALUE}) {
            TinyModel tiny = TinyModel.grouped(2);
            Map<String, Tensor> halved = new HashMap<>(tiny.tensors());
            halved.replaceAll((name, tensor) -> name.endsWith("o_proj.weight") ? scaled(tensor, 0.5f) : tensor);
            try (SparseModel expected =
                            new TinyModel(tiny.config(), halved).load(SparsityPolicy.of(Ssa.of(blocks)), Map.of());
                    SparseModel found = gated(tiny, 0).load(SparsityPolicy.of(new Ssa(16, blocks, true)), Map.of())) {
                assertThat(decoded(found)).isDeepEqualTo(decoded(expected));
            }
        }
    }

    @Test
    void theGateReadsWhatTheQueryReads() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Graph graph = rewritten(dense.denseGraph(Phase.DECODE), new Ssa(16, 2, true));
            for (int layer = 0; layer < 2; layer++) {
                WeightRef gate = SelectedGate.of(layer, 4, 32);
                assertThat(graph.weights()).contains(gate);
                int at = layer;
                Node query = graph.at(Role.QUERY).stream()
                        .filter(node -> node.site().layer() == at)
                        .findFirst()
                        .orElseThrow();
                assertThat(graph.nodes())
                        .filteredOn(node -> node.op() instanceof Linear
                                && node.input(1).origin().equals(new Value.Origin.Weight(gate)))
                        .singleElement()
                        .satisfies(node -> assertThat(node.input(0)).isEqualTo(query.input(0)));
            }
        }
    }

    @Test
    void aGateOfAnotherShapeIsRefused() {
        TinyModel tiny = gated(TinyModel.grouped(2), 1);
        Map<String, Tensor> tensors = new HashMap<>(tiny.tensors());
        tensors.replaceAll((name, tensor) ->
                name.endsWith("g_proj.weight") ? Tensor.allocate(Arena.ofAuto(), DType.F32, 4, 32) : tensor);
        TinyModel wrong = new TinyModel(tiny.config(), tensors);
        SparsityPolicy policy = SparsityPolicy.of(new Ssa(16, 2, true));
        assertThatThrownBy(() -> wrong.load(policy, Map.of()).close())
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("g_proj");
    }

    /** What has no gain of its own any more is in another basis. */
    @Test
    void gatesOverAChangedStreamAreRefused() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Graph changed = dense.denseGraph(Phase.DECODE).transform((node, inputs, builder) -> {
                List<Value> operands = new ArrayList<>(inputs);
                if (node.site().role() == Role.ATTENTION_NORM) {
                    operands.set(
                            1,
                            builder.weight(
                                    WeightRef.derived("ones", inputs.get(1).spec(), new Nothing())));
                }
                return builder.add(node.op(), node.site(), operands);
            });
            assertThat(rewritten(changed, Ssa.of(2))).isNotSameAs(changed);
            assertThatThrownBy(() -> rewritten(changed, new Ssa(16, 2, true)))
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining("another method");
        }
    }

    private record Nothing() implements Derivation {
        @Override
        public List<WeightRef> sources() {
            return List.of();
        }

        @Override
        public void compute(List<Tensor> sources, Tensor result) {
            // Zeros will do.
        }
    }

    /** The worked example: three blocks with the means (1, 0), (0, 1) and (0.5, 0.5), queries (2, 0) and (0, 1), the last token. */
    @Test
    void theWorkedExampleComesOutDigitForDigit() {
        Example example = new Example(2, 0, 0, 1);
        float own = Float.NEGATIVE_INFINITY; // chosen by its place
        assertThat(example.shares(2))
                .containsExactly(new float[] {0.575975f, 0.140029f, own, 0.224606f, 0.455527f, own}, within(1e-6f));
        assertThat(example.shares(1)).containsExactly(new float[] {0.800582f, 0.595557f, own}, within(1e-6f));
        assertThat(example.chosen(2)).containsExactly(0, 2);
        assertThat(example.chosen(1)).containsExactly(2);
    }

    @Test
    void tiesGoToTheLowerBlock() {
        assertThat(new Example(0, 0, 0, 0).chosen(2)).containsExactly(0, 2);
        assertThat(new Example(0, 1, 0, 1).chosen(2)).containsExactly(1, 2);
    }

    /** A head of 48 cached keys of two numbers, and the two queries of the last token. */
    private static final class Example {

        private static final KvShape SHAPE = new KvShape(1, 1, 2, 1, 48, DType.F32);
        private static final KvPlane PLANE = new KvPlane("ssa", DType.F32, 2, 16);

        private final Arena arena = Arena.ofAuto();
        private final Tensor query;
        private final Tensor zero = Tensor.copyOf(arena, new int[] {0}, 1);
        private final Tensor one = Tensor.copyOf(arena, new int[] {0, 1}, 2);
        private final Tensor table = Tensor.copyOf(arena, new int[] {0}, 1, 1, 1, 1);
        private final Tensor cached = Tensor.copyOf(arena, new int[] {47}, 1, 1, 1);
        private final Tensor means;

        Example(float... queries) {
            query = Tensor.copyOf(arena, queries, 1, 4);
            float[] keys = new float[KvShape.PAGE_ROWS * 2];
            for (int key = 0; key < 48; key++) {
                boolean first = key < 16 || (key >= 32 && key < 40);
                boolean second = key >= 16 && key < 40;
                keys[2 * key] = first ? 1 : 0;
                keys[2 * key + 1] = second ? 1 : 0;
            }
            means = Tensor.allocate(arena, DType.F32, 1, 2, 4);
            Interpreter.evaluate(
                    new KeyMeans(SHAPE, 0, PLANE),
                    List.of(
                            Tensor.copyOf(arena, new int[48], 48),
                            Tensor.copyOf(arena, new int[] {0, 48}, 2),
                            zero,
                            means,
                            table,
                            Tensor.copyOf(arena, new int[] {0}, 1, 1, 1),
                            Tensor.copyOf(arena, keys, 1, KvShape.PAGE_ROWS, 2)),
                    arena);
        }

        /** The scores of the three blocks, of one list that both heads share or of two. */
        float[] shares(int lists) {
            return scores(select(lists, 2)).toFloats();
        }

        /** The blocks of the list of both heads. */
        int[] chosen(int blocks) {
            SelectKeys select = select(1, blocks);
            List<Tensor> operands = new ArrayList<>(List.of(zero, one, zero, cached));
            if (blocks > 1) {
                operands.addFirst(scores(select));
            }
            List<Tensor> lists = Interpreter.evaluate(select, operands, arena);
            boolean[] named = select.keys().named(Operands.of(lists, List.of()), 0, 0, 0);
            for (int key = 0; key < 48; key++) {
                assertThat(named[key]).as("key %d", key).isEqualTo(named[key / 16 * 16]);
            }
            return IntStream.range(0, 3).filter(block -> named[block * 16]).toArray();
        }

        private static SelectKeys select(int lists, int blocks) {
            KeyRule rule = blocks > 1 ? new KeyRule.TopK(blocks - 1) : new KeyRule.ByPlace();
            return SelectKeys.of(SHAPE, 0, lists, 1, 16, rule, 0, 1, 16 * blocks);
        }

        private Tensor scores(SelectKeys select) {
            ScoreKeys score = new ScoreKeys(
                    select.keys(), 0, PLANE, 2, 0.707107f, ScoreKeys.Reduction.SHARES, select.denseUpTo());
            return Interpreter.evaluate(score, List.of(query, zero, one, zero, means, table, cached), arena)
                    .getFirst();
        }
    }

    private static Graph rewritten(Graph graph, Ssa method) {
        return method.rewrites(Artefact.EMPTY).getFirst().change().apply(graph);
    }

    /** The model with gates; those of selected attention have weights of {@code strength}, the others of 10. */
    private static TinyModel gated(TinyModel tiny, float strength) {
        SplittableRandom random = new SplittableRandom(5);
        Map<String, Tensor> tensors = new HashMap<>(tiny.tensors());
        for (int layer = 0; layer < 2; layer++) {
            float[] gates = new float[3 * 4 * 32];
            for (int i = 0; i < gates.length; i++) {
                gates[i] = (float) random.nextDouble(-1, 1) * (i / 32 % 3 == 1 ? strength : 10);
            }
            tensors.put(
                    "model.layers." + layer + ".self_attn.g_proj.weight", Tensor.copyOf(Arena.ofAuto(), gates, 12, 32));
        }
        return new TinyModel(tiny.config(), tensors);
    }

    private static Tensor scaled(Tensor tensor, float by) {
        float[] numbers = tensor.toFloats();
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] *= by;
        }
        return Tensor.copyOf(
                Arena.ofAuto(), numbers, tensor.shape().max(0), tensor.shape().max(1));
    }

    /** The logits after each token of the text, all but the first in DECODE. */
    private static float[][] decoded(SparseModel model) {
        try (Session session = model.newSession()) {
            SequenceId sequence = session.open();
            float[][] rows = new float[TEXT.length][];
            for (int i = 0; i < rows.length; i++) {
                rows[i] = session.run(i == 0 ? Phase.PREFILL : Phase.DECODE, Batch.of(sequence, TEXT[i]))
                        .copyOf(0);
            }
            return rows;
        }
    }

    /** The logits after {@code length} tokens of the text, all in PREFILL. */
    private static float[] prefilled(SparseModel model, int length) {
        try (Session session = model.newSession()) {
            return session.run(Phase.PREFILL, Batch.of(session.open(), Arrays.copyOf(TEXT, length)))
                    .copyOf(0);
        }
    }
}
