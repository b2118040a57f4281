package ai.winnow.sparsity.attention.ssa;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KeyMeans;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.Value;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import ai.winnow.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Block-sparse attention as SSA has it at inference (Sparse Sparse Attention, section 3): each token attends to the keys of {@code blocks}
 * blocks, its own among them, those of the greatest importance to its heads. The importance of a block is the sum, over the query heads that
 * share keys, of each one's softmax of its scaled products with the mean keys of all complete blocks. The list is the token's own and is shared
 * by those heads; keys are those after the rotary embedding. Prefill and decoding choose alike.
 *
 * <p>The gate of SSA's own checkpoints, a factor of each head's result, is part of those models, which are not loaded here. The choice is
 * exact; the authors' kernel drops some of the blocks where there are more than twice as many as a chunk of it holds.
 *
 * @param block keys of a block: 16, 32 or 64
 * @param blocks blocks that a token attends to, its own included; sequences that have no more are dense
 */
public record Ssa(int block, int blocks) implements SparsityMethod {

    static final MethodInfo INFO = new MethodInfo(
            "ssa",
            "lets each token attend to the blocks of keys whose mean its heads like best",
            "Shen et al., SSA: Sparse Sparse Attention by Aligning Full and Sparse Attention Outputs in Feature Space, 2025, arXiv 2511.20102");

    public Ssa {
        if (block != 16 && block != 32 && block != KvShape.PAGE_ROWS) {
            throw new IncompatiblePolicyException("ssa: a block has 16, 32 or 64 keys, not " + block);
        }
        if (blocks < 1) {
            throw new IncompatiblePolicyException("ssa: blocks must be at least 1, the token's own, not " + blocks);
        }
    }

    /** Blocks of 16 keys, 16 of them, as the released models were trained. */
    public static Ssa released() {
        return new Ssa(16, 16);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "ssa:block=" + block + ",blocks=" + blocks;
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        return List.of(new Rewrite(
                Rewrite.Stage.ATTENTION,
                Set.of(Phase.PREFILL, Phase.DECODE),
                Set.of(new Claim(Role.ATTENTION, Aspect.KEYS)),
                this::sparse));
    }

    private Graph sparse(Graph graph) {
        Optional<Attention> first = graph.nodes().stream()
                .filter(node -> node.op() instanceof Attention)
                .map(node -> (Attention) node.op())
                .findFirst();
        if (first.isEmpty()) {
            throw new IncompatiblePolicyException("ssa: this model has no attention over a cache");
        }
        return first.get().shape().contextLength() <= (long) block * blocks ? graph : graph.transform(this::change);
    }

    private List<Value> change(Node node, List<Value> inputs, GraphBuilder builder) {
        List<Value> made;
        if (node.op() instanceof Attention attention && attention.window() == 0) {
            made = attend(attention, node.site(), inputs, builder);
        } else {
            made = builder.add(node.op(), node.site(), inputs);
        }
        if (node.op() instanceof KvAppend append) {
            KvPlane means = means(append.shape());
            List<Value> operands = new ArrayList<>(inputs.subList(2, 5));
            operands.addAll(List.of(means.declare(builder), inputs.get(7), inputs.get(8), inputs.get(5)));
            Site site = Site.of(append.layer(), Role.OTHER);
            builder.add(new KeyMeans(append.shape(), append.layer(), means), site, operands);
        }
        return made;
    }

    private List<Value> attend(Attention attention, Site at, List<Value> inputs, GraphBuilder builder) {
        KvShape shape = attention.shape();
        Site site = Site.of(attention.layer(), Role.OTHER);
        KvPlane means = means(shape);
        // The token's own block is chosen by its place: there may be no other.
        KeyRule rule = blocks == 1 ? new KeyRule.ByPlace() : new KeyRule.TopK(blocks - 1);
        int denseUpTo = Math.multiplyExact(block, blocks);
        SelectKeys select = SelectKeys.of(shape, attention.layer(), shape.heads(), 1, block, rule, 0, 1, denseUpTo);
        List<Value> operands = new ArrayList<>();
        if (rule.needsScores()) {
            ScoreKeys score = new ScoreKeys(
                    select.keys(),
                    attention.layer(),
                    means,
                    attention.queryHeads(),
                    attention.scale(),
                    ScoreKeys.Reduction.SHARES,
                    denseUpTo);
            List<Value> scored = new ArrayList<>(inputs.subList(0, 4));
            scored.addAll(List.of(means.declare(builder), inputs.get(6), inputs.get(7)));
            operands.addAll(builder.add(score, site, scored));
        }
        operands.addAll(List.of(inputs.get(1), inputs.get(2), inputs.get(3), inputs.get(7)));
        List<Value> attended = new ArrayList<>(inputs);
        attended.addAll(1, builder.add(select, site, operands));
        return builder.add(new SparseAttention(attention, select.keys()), at, attended);
    }

    private KvPlane means(KvShape shape) {
        return new KvPlane("ssa", DType.F32, shape.headDim(), block);
    }
}
