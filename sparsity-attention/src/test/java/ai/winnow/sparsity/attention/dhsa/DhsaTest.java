package ai.winnow.sparsity.attention.dhsa;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.io.SafeTensorsWriter;
import ai.winnow.ir.Graph;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.Interpreter;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.attention.dhsa.Dhsa.Boundary;
import ai.winnow.sparsity.attention.dhsa.Dhsa.Pooling;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DhsaTest {

    private static final int[] TEXT = TinyModel.windows(21, 1, 60).getFirst();

    private static Dhsa small(int budget, Boundary boundaries) {
        return new Dhsa(budget, 4, boundaries, 4, 2, boundaries.theta(), 0, 2, 1, Pooling.NORM, true);
    }

    /** The contract, with chunks and blocks that end at the same tokens, so that a prompt in steps sees what a whole one does. */
    @Nested
    class Fixed extends SparsityMethodContract {
        @Override
        protected MethodProvider provider() {
            return new DhsaProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return small(Integer.MAX_VALUE, Boundary.FIXED);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(small(18, Boundary.FIXED), small(8, Boundary.FIXED), small(3, Boundary.FIXED));
        }

        @Override
        protected List<String> badSpecs() {
            return List.of(
                    "dhsa:budget=0",
                    "dhsa:0.5",
                    "dhsa:block=0",
                    "dhsa:chunk=0",
                    "dhsa:beta=0",
                    "dhsa:theta=NaN",
                    "dhsa:boundaries=guess",
                    "dhsa:pooling=max",
                    "dhsa:budget=8,local=9",
                    "dhsa:budget=256,global=0,local=4",
                    "dhsa:budget=8,nobodys=1");
        }

        @Override
        protected List<TinyModel> models() {
            return List.of(TinyModel.llama(1), TinyModel.grouped(2));
        }
    }

    @Test
    void theWorkedExampleComesOutDigitForDigit() {
        ChunkLists.Chunks chunks = new ChunkLists.Chunks(
                new int[] {0, 3, 4, 6}, new double[][] {{Math.sqrt(3), 0}, {0, 4}, {Math.sqrt(2), Math.sqrt(2)}});
        assertThat(ChunkLists.scores(chunks, new double[] {Math.sqrt(2), Math.sqrt(2) / 2}))
                .containsExactly(new float[] {2.449490f, 2.828427f, 3.0f}, within(1e-6f));
        assertThat(chosen(true, 3, 0, 0, new float[] {1, 1, 1, 0})).containsExactly(3, 4, 5);
        assertThat(chosen(true, 2, 0, 0, new float[] {1, 1, 1, 0})).containsExactly(4, 5);
        assertThat(chosen(true, 1, 0, 0, new float[] {1, 1, 1, 0})).containsExactly(5);
        // Without the factor the third chunk scores 0.75 times 1.5 less than the second.
        assertThat(chosen(false, 1, 0, 0, new float[] {1, 1, 1, 0})).containsExactly(3);
    }

    @Test
    void tiesGoToTheEarlierChunkAndItsLatestTokens() {
        assertThat(chosen(true, 2, 0, 0, new float[4])).containsExactly(1, 2);
        assertThat(chosen(true, 4, 0, 0, new float[4])).containsExactly(0, 1, 2, 3);
    }

    @Test
    void theFirstKeysReplaceTheEarliestOfTheChosen() {
        assertThat(chosen(true, 3, 1, 1, new float[] {1, 1, 1, 0})).containsExactly(0, 4, 5);
        assertThat(chosen(true, 6, 0, 0, new float[4])).containsExactly(0, 1, 2, 3, 4, 5);
    }

    @Test
    void nanRanksAboveAll() {
        assertThat(chosen(true, 3, 0, 0, new float[] {Float.NaN, 1, 1, 0})).containsExactly(0, 1, 2);
    }

    /** Which of the card's six keys its two queries, the last two rows, see. */
    private static int[] chosen(boolean root, int budget, int local, int global, float[] query) {
        KvShape shape = new KvShape(1, 1, 2, 1, 64, DType.F32);
        ChunkLists op = new ChunkLists(KeyLists.of(shape, 1, 2), 0, 1, 8, budget, local, global, 0, 0, root);
        float[] keys = new float[128];
        System.arraycopy(new float[] {1, 0, 1, 0, 1, 0, 0, 4, 2, 2, 0, 0}, 0, keys, 0, 12);
        try (Arena arena = Arena.ofConfined()) {
            List<Tensor> lists = Interpreter.evaluate(
                    op,
                    List.of(
                            Tensor.copyOf(arena, query, 2, 2),
                            Tensor.copyOf(arena, new int[] {0, 3, 4, 0, 0, 0, 0, 0}, 1, 8),
                            Tensor.copyOf(arena, new int[] {3}, 1),
                            Tensor.copyOf(arena, new int[2], 2),
                            Tensor.copyOf(arena, new int[] {0, 2}, 2),
                            Tensor.copyOf(arena, new int[] {0}, 1),
                            Tensor.copyOf(arena, keys, 1, 64, 2),
                            Tensor.copyOf(arena, new int[] {0}, 1, 1, 1, 1),
                            Tensor.copyOf(arena, new int[] {4}, 1, 1, 1)),
                    arena);
            boolean[] named = op.keys().named(Operands.of(lists, List.of()), 0, 0, 0);
            return IntStream.range(0, named.length).filter(key -> named[key]).toArray();
        }
    }

    @Test
    void boundariesIncreaseFromZeroAndAreFewAndFarApart() {
        SplittableRandom random = new SplittableRandom(3);
        for (int tokens = 1; tokens < 200; tokens++) {
            for (int tail : new int[] {0, 1, 5, 64}) {
                float[] logits = new float[tokens];
                for (int i = 0; i < tokens; i++) {
                    logits[i] = random.nextInt(5) == 0 ? Float.NaN : random.nextInt(4);
                }
                Cuts cuts = new Cuts(4, 1.1f, 32, 8, tail);
                int[] starts = cuts.starts(logits);
                assertThat(starts[0]).isZero();
                assertThat(starts.length).isLessThanOrEqualTo(cuts.most(tokens));
                assertThat(starts[starts.length - 1]).isLessThan(tokens);
                for (int i = 2; i < starts.length; i++) {
                    assertThat(starts[i] - starts[i - 1])
                            .as("%d tokens", tokens)
                            .isGreaterThan(Cuts.RADIUS);
                }
            }
        }
        Cuts cuts = new Cuts(4, 1.1f, 32, 8, 0);
        assertThat(cuts.starts(new float[64])).containsExactly(0);
        float[] one = new float[64];
        one[20] = 2;
        one[25] = 3;
        one[40] = 2;
        assertThat(cuts.starts(one)).containsExactly(0, 26, 41);
    }

    @Test
    void shortPromptsAndTailsAreDenseBitForBit() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Dhsa all = new Dhsa(8, 4, Boundary.SIMILARITY, 4, 2, 0, 60, 2, 1, Pooling.MEAN, false);
            for (int length : new int[] {1, 7, 8, 60}) {
                Dhsa method = length <= 8 ? small(8, Boundary.SIMILARITY) : all;
                try (SparseModel sparse = dense.withPolicy(SparsityPolicy.of(method), Map.of())) {
                    assertThat(prefilled(sparse, length)).isEqualTo(prefilled(dense, length));
                }
            }
        }
    }

    @Test
    void aPromptInStepsSeesWhatIsCached() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of());
                SparseModel sparse = dense.withPolicy(SparsityPolicy.of(small(12, Boundary.SIMILARITY)), Map.of())) {
            assertThat(prefilled(sparse, 60)).isNotEqualTo(prefilled(dense, 60)).doesNotContain(Float.NaN);
        }
    }

    @Test
    void onlyPrefillChangesAndABudgetOfTheContextChangesNothing() {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Graph graph = dense.denseGraph(Phase.PREFILL);
            assertThat(rewritten(graph, small(96, Boundary.FIXED))).isSameAs(graph);
            assertThat(rewritten(graph, small(95, Boundary.FIXED))).isNotSameAs(graph);
            assertThat(small(9, Boundary.FIXED)
                            .rewrites(Artefact.EMPTY)
                            .getFirst()
                            .phases())
                    .containsExactly(Phase.PREFILL);
        }
        Graph empty = new Graph(Phase.PREFILL, List.of(), List.of(), List.of());
        assertThatThrownBy(() -> rewritten(empty, small(9, Boundary.FIXED)))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining("dhsa");
    }

    @Test
    void anImportedPredictorCuts(@TempDir Path folder) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("attn.in_proj_weight", new long[] {48, 16});
        shapes.put("attn.in_proj_bias", new long[] {48});
        shapes.put("attn.out_proj.weight", new long[] {16, 16});
        shapes.put("attn.out_proj.bias", new long[] {16});
        shapes.put("norm.weight", new long[] {16});
        shapes.put("norm.bias", new long[] {16});
        shapes.put("fc1.weight", new long[] {10, 65});
        shapes.put("fc1.bias", new long[] {10});
        shapes.put("fc2.weight", new long[] {1, 10});
        shapes.put("fc2.bias", new long[] {1});
        SplittableRandom random = new SplittableRandom(9);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        shapes.forEach((name, sizes) -> {
            float[] numbers = new float[(int) Arrays.stream(sizes).reduce(1, (a, b) -> a * b)];
            for (int i = 0; i < numbers.length; i++) {
                numbers[i] = (float) random.nextDouble(-0.3, 0.3);
            }
            tensors.put(name, Tensor.copyOf(Arena.ofAuto(), numbers, sizes));
        });
        Path file = folder.resolve("predictor.safetensors");
        SafeTensorsWriter.write(file, tensors, Map.of());
        Dhsa method = new Dhsa(12, 4, Boundary.PREDICTOR, 4, 2, -9, 0, 2, 1, Pooling.NORM, true);
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            Artefact artefact =
                    PredictorImport.read(file, 2, dense.weights().source().fingerprint());
            try (SparseModel sparse = dense.withPolicy(SparsityPolicy.of(method), Map.of("dhsa", artefact))) {
                assertThat(prefilled(sparse, 60))
                        .isNotEqualTo(prefilled(dense, 60))
                        .doesNotContain(Float.NaN);
            }
        }
        List<String> needs = new ArrayList<>();
        method.calibrator().ifPresent(_ -> needs.add("artefact"));
        assertThat(needs).hasSize(1);
        assertThat(small(9, Boundary.SIMILARITY).calibrator()).isEmpty();
    }

    private static Graph rewritten(Graph graph, Dhsa method) {
        return method.rewrites(Artefact.EMPTY).getFirst().change().apply(graph);
    }

    private static float[] prefilled(SparseModel model, int length) {
        try (Session session = model.newSession()) {
            return session.run(Phase.PREFILL, Batch.of(session.open(), Arrays.copyOf(TEXT, length)))
                    .copyOf(0);
        }
    }
}
