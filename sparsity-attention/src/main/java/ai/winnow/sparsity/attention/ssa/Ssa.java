package ai.winnow.sparsity.attention.ssa;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KeyMeans;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Reshape;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.ir.Role;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The sparse mode of models that were trained with Sparse Sparse Attention: keys are cut into blocks, and each token attends to its own
 * {@code blocks} of them, one list for all query heads of a key-value head. A block counts with the share that the softmax of a head over
 * the means of all complete blocks gives it, summed over those heads. The block that the token is in is always seen. Where a sequence has
 * no more keys than are chosen it is dense, bit for bit; layers with a sliding window are dense throughout.
 *
 * <p>The best blocks are chosen exactly. The authors' kernel merges lists chunk by chunk and loses some of the best on the way.
 *
 * @param block keys a block: 16, 32 or 64
 * @param blocks blocks that a token sees, its own included; {@link Integer#MAX_VALUE} for all
 * @param gate whether the output of each query head is multiplied by its gate, as in the authors' checkpoints, which have weights {@code
 *     self_attn.g_proj}. Such a model needs its gates in full attention as well
 */
public record Ssa(int block, int blocks, boolean gate) implements SparsityMethod {

    /** Keys a block and blocks a token of the published model. */
    static final int PUBLISHED = 16;

    static final MethodInfo INFO = new MethodInfo(
            "ssa",
            "lets each token attend to the blocks of keys whose mean fits it best",
            "Shen et al., SSA: Sparse Sparse Attention by Aligning Full and Sparse Attention Outputs in Feature Space, 2025, arXiv 2511.20102");

    public Ssa {
        if (block != 16 && block != 32 && block != KvShape.PAGE_ROWS) {
            throw new IncompatiblePolicyException(
                    "ssa: a block has 16, 32 or " + KvShape.PAGE_ROWS + " keys, not " + block);
        }
        if (blocks < 1) {
            throw new IncompatiblePolicyException("ssa: a token sees at least its own block, not " + blocks);
        }
    }

    /** With the published block size, for models without gates. */
    public static Ssa of(int blocks) {
        return new Ssa(PUBLISHED, blocks, false);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "ssa:block=" + block + ",blocks=" + blocks + ",gate=" + gate;
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        return List.of(new Rewrite(
                Rewrite.Stage.ATTENTION,
                Set.of(Phase.PREFILL, Phase.DECODE, Phase.VERIFY),
                Set.of(new Claim(Role.ATTENTION, Aspect.KEYS)),
                this::sparse));
    }

    private Graph sparse(Graph graph) {
        int context = graph.at(Role.ATTENTION).stream()
                .filter(node -> node.op() instanceof Attention)
                .map(node -> ((Attention) node.op()).shape().contextLength())
                .findFirst()
                .orElseThrow(() -> new IncompatiblePolicyException("ssa: this model has no attention over a cache"));
        boolean full = seen() >= context;
        return full && !gate ? graph : graph.transform(new Change(full)::apply);
    }

    /** Keys that a token sees at most. */
    private long seen() {
        return (long) block * blocks;
    }

    /** What becomes of the nodes, in their order. */
    private final class Change {

        private final boolean full;
        private @Nullable Value normed;

        Change(boolean full) {
            this.full = full;
        }

        List<Value> apply(Node node, List<Value> inputs, GraphBuilder builder) {
            if (gate && node.site().role() == Role.ATTENTION_NORM) {
                requireGain(inputs);
            }
            if (node.site().role() == Role.QUERY) {
                normed = inputs.getFirst();
            }
            if (node.op() instanceof Attention attention) {
                Value attended = full || attention.window() > 0
                        ? builder.add(attention, node.site(), inputs).getFirst()
                        : attend(attention, node.site(), inputs, builder);
                return List.of(gate ? gated(attention, attended, builder) : attended);
            }
            return builder.add(node.op(), node.site(), inputs);
        }

        private Value attend(Attention attention, Site at, List<Value> inputs, GraphBuilder builder) {
            SelectKeys select = SelectKeys.of(
                    attention.shape(),
                    attention.layer(),
                    attention.shape().heads(),
                    1,
                    block,
                    blocks == 1 ? new KeyRule.ByPlace() : new KeyRule.TopK(blocks - 1),
                    0,
                    1,
                    Math.toIntExact(seen()));
            List<Value> operands = new ArrayList<>();
            if (blocks > 1) {
                operands.add(score(attention, select, inputs, builder));
            }
            operands.addAll(List.of(inputs.get(1), inputs.get(2), inputs.get(3), inputs.get(7)));
            List<Value> attended = new ArrayList<>(inputs);
            attended.addAll(1, builder.add(select, Site.of(attention.layer(), Role.OTHER), operands));
            return builder.add(new SparseAttention(attention, select.keys()), at, attended)
                    .getFirst();
        }

        /** Brings the means up to this step's keys and scores blocks by them. */
        private Value score(Attention attention, SelectKeys select, List<Value> inputs, GraphBuilder builder) {
            KvShape shape = attention.shape();
            Site site = Site.of(attention.layer(), Role.OTHER);
            KvPlane plane = new KvPlane("ssa", DType.F32, shape.headDim(), block);
            List<Value> beside = new ArrayList<>(inputs.subList(1, 4));
            beside.addAll(List.of(plane.declare(builder), inputs.get(6), inputs.get(7)));
            List<Value> means = new ArrayList<>(beside);
            means.add(inputs.get(4));
            builder.add(new KeyMeans(shape, attention.layer(), plane), site, means);
            ScoreKeys score = new ScoreKeys(
                    select.keys(),
                    attention.layer(),
                    plane,
                    attention.queryHeads(),
                    attention.scale(),
                    ScoreKeys.Reduction.SHARES,
                    select.denseUpTo());
            beside.addFirst(inputs.getFirst());
            return builder.add(score, site, beside).getFirst();
        }

        private Value gated(Attention attention, Value attended, GraphBuilder builder) {
            Value x = normed;
            if (x == null) {
                throw new IncompatiblePolicyException(
                        "ssa: layer " + attention.layer() + " has no query layer whose input the gate could read");
            }
            Site site = Site.of(attention.layer(), Role.OTHER);
            int heads = attention.queryHeads();
            Dim rows = attended.spec().shape().rowDim();
            int hidden = Math.toIntExact(x.spec().shape().max(1));
            Value weight = builder.weight(SelectedGate.of(attention.layer(), heads, hidden));
            Value logits = builder.add(new Linear(false), site, x, weight); // [rows, heads]
            Value gates = builder.add(new Unary(Unary.Function.SIGMOID), site, logits);
            Value each = builder.add(new Reshape(Shape.rows(rows, heads, 1)), site, gates);
            Shape byHead = Shape.rows(rows, heads, attention.shape().headDim());
            Value outputs = builder.add(new Reshape(byHead), site, attended);
            Value product = builder.add(new Binary(Binary.Operator.MUL), site, outputs, each);
            return builder.add(new Reshape(attended.spec().shape()), site, product); // [rows, heads * headDim]
        }
    }

    /** The gates are those of the checkpoint: where another method has put the stream into another basis they would read nonsense. */
    private static void requireGain(List<Value> norm) {
        boolean own = norm.get(1).origin() instanceof Value.Origin.Weight(WeightRef ref)
                && ref.source() == WeightRef.Source.MODEL;
        if (!own) {
            throw new IncompatiblePolicyException(
                    "ssa: gates read the checkpoint's normalised inputs, which another method of the policy has"
                            + " changed; leave that one out");
        }
    }
}
