package ai.winnow.sparsity.attention.ssa;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.ir.KeyMeans;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.SelectKeys;
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
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class SsaTest extends SparsityMethodContract {

    @Override
    protected MethodProvider provider() {
        return new SsaProvider();
    }

    @Override
    protected SparsityMethod zero() {
        return new Ssa(64, 1 << 20);
    }

    /** Prompts of 23 tokens and 6 more: two blocks, of which one is left. */
    @Override
    protected List<SparsityMethod> ladder() {
        return List.of(new Ssa(16, 1));
    }

    @Override
    protected List<String> badSpecs() {
        return List.of("ssa:block=8", "ssa:block=16,blocks=0", "ssa:blocks=-1", "ssa:0.5", "ssa:blocks=2,nobodys=1");
    }

    @Override
    protected List<TinyModel> models() {
        return List.of(TinyModel.llama(1), TinyModel.grouped(2));
    }

    @Test
    void aSequenceThatHasNoMoreBlocksIsDense() {
        int[] tokens = TinyModel.windows(12, 1, 48).getFirst();
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            assertThat(logits(dense, new Ssa(16, 3), tokens, 20)).containsExactly(logits(dense, null, tokens, 20));
            assertThat(logits(dense, new Ssa(16, 2), tokens, 20)).isNotEqualTo(logits(dense, null, tokens, 20));
        }
    }

    /** What a token chooses depends on complete blocks and its own only, however the tokens come. */
    @Test
    void decodingEqualsOnePrefill() {
        int[] tokens = TinyModel.windows(12, 1, 75).getFirst();
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            for (Ssa method : List.of(new Ssa(16, 1), new Ssa(16, 2), new Ssa(32, 2))) {
                assertThat(logits(dense, method, tokens, 5))
                        .as(method.spec())
                        .usingComparatorWithPrecision(1e-4f)
                        .containsExactly(logits(dense, method, tokens, 75));
            }
        }
    }

    /** The logits after all tokens, of which the first {@code prefilled} come in one piece. */
    private static float[] logits(SparseModel dense, @Nullable Ssa method, int[] tokens, int prefilled) {
        SparsityPolicy policy = method == null ? SparsityPolicy.dense() : SparsityPolicy.of(method);
        try (SparseModel model = dense.withPolicy(policy, Map.of());
                Session session = model.newSession()) {
            SequenceId sequence = session.open();
            float[] logits = session.run(Phase.PREFILL, Batch.of(sequence, Arrays.copyOf(tokens, prefilled)))
                    .copyOf(0);
            for (int i = prefilled; i < tokens.length; i++) {
                logits =
                        session.run(Phase.DECODE, Batch.of(sequence, tokens[i])).copyOf(0);
            }
            return logits;
        }
    }

    /** The example of the method with each key 16 times over: three blocks, the last the token's own. */
    @Test
    void theWorkedExampleComesOutDigitForDigit() {
        KvShape shape = new KvShape(1, 1, 2, 1, 64, DType.F32);
        KvPlane means = new KvPlane("means", DType.F32, 2, 16);
        float[][] blocks = {{1, 0}, {0, 1}, {0.5f, 0.5f}};
        float[] keys = new float[64 * 2];
        for (int key = 0; key < 48; key++) {
            // The own block is (1, 1) and (0, 0) by turns.
            keys[2 * key] = key < 32 ? blocks[key / 16][0] : key % 2;
            keys[2 * key + 1] = key < 32 ? blocks[key / 16][1] : key % 2;
        }
        SelectKeys select = SelectKeys.of(shape, 0, 1, 1, 16, new KeyRule.TopK(1), 0, 1, 0);
        ScoreKeys score =
                new ScoreKeys(select.keys(), 0, means, 2, (float) Math.sqrt(0.5), ScoreKeys.Reduction.SHARES, 0);
        try (Arena arena = Arena.ofConfined()) {
            Tensor zero = Tensor.copyOf(arena, new int[] {0}, 1);
            Tensor indptr = Tensor.copyOf(arena, new int[] {0, 1}, 2);
            Tensor table = Tensor.copyOf(arena, new int[] {0}, 1, 1, 1, 1);
            Tensor plane = Tensor.copyOf(arena, new float[2 * 4], 1, 2, 4);
            Tensor pool = Tensor.copyOf(arena, keys, 1, 64, 2);
            for (int length : new int[] {0, 31, 47}) { // as if the keys had come in three steps
                Tensor cached = Tensor.copyOf(arena, new int[] {length}, 1, 1, 1);
                int rows = length == 0 ? 31 : length == 31 ? 16 : 1;
                Tensor sequence = Tensor.copyOf(arena, new int[rows], rows);
                Tensor starts = Tensor.copyOf(arena, new int[] {0, rows}, 2);
                Interpreter.evaluate(
                        new KeyMeans(shape, 0, means),
                        List.of(sequence, starts, zero, plane, table, cached, pool),
                        Map.of(),
                        arena);
            }
            Tensor lengths = Tensor.copyOf(arena, new int[] {47}, 1, 1, 1);
            List<Tensor> scores = Interpreter.evaluate(
                    score,
                    List.of(
                            Tensor.copyOf(arena, new float[] {2, 0, 0, 1}, 1, 4),
                            zero,
                            indptr,
                            zero,
                            plane,
                            table,
                            lengths),
                    Map.of(),
                    arena);
            assertThat(scores.getFirst().getFloat(0)).isCloseTo(0.800582f, within(1e-6f));
            assertThat(scores.getFirst().getFloat(1)).isCloseTo(0.595557f, within(1e-6f));
            List<Tensor> lists = Interpreter.evaluate(
                    select, List.of(scores.getFirst(), zero, indptr, zero, lengths), Map.of(), arena);
            boolean[] named = select.keys().named(Operands.of(lists, List.of()), 0, 0, 0);
            for (int key = 0; key < 48; key++) {
                assertThat(named[key]).isEqualTo(key < 16 || key >= 32);
            }
        }
    }
}
