package ai.winnow.sparsity.attention.mustafar;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Value;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import ai.winnow.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Prunes each key and value by the magnitude of its numbers and keeps what is left of older tokens in packed pages, which attention reads as they lie (Joo et al.,
 * section 3). The cache packs between steps: a prompt is computed dense, over keys and values as they are, and packed when it has been read; the newest
 * {@code residual} to {@code residual + unit} tokens of a sequence are never packed.
 *
 * @param keys share of each key that is pruned
 * @param values share of each value that is
 * @param residual newest tokens that are never pruned
 * @param unit tokens that are packed at once, a multiple of {@value KvShape#PAGE_ROWS}
 */
public record Mustafar(float keys, float values, int residual, int unit) implements SparsityMethod {

    /** The greatest share that the publication finds harmless. */
    static final float PUBLISHED = 0.7f;

    static final int RESIDUAL = 32;

    static final MethodInfo INFO = new MethodInfo(
            "mustafar",
            "prunes the smallest numbers of cached keys and values and holds the others packed",
            "Joo et al., Mustafar: Promoting Unstructured Sparsity for KV Cache Pruning in LLM Inference, NeurIPS 2025, arXiv 2505.22913");

    public Mustafar {
        requireShare("keys", keys);
        requireShare("values", values);
        if (residual < 0) {
            throw new IncompatiblePolicyException(
                    "mustafar: the newest tokens that stay as they are cannot be " + residual);
        }
        if (unit < 1 || unit % KvShape.PAGE_ROWS != 0) {
            throw new IncompatiblePolicyException(
                    "mustafar: tokens are packed by multiples of " + KvShape.PAGE_ROWS + ", not by " + unit);
        }
    }

    private static void requireShare(String what, float share) {
        if (!(share >= 0 && share < 1)) {
            throw new IncompatiblePolicyException(
                    "mustafar: the share of " + what + " that is pruned is from 0 to below 1, not " + share);
        }
    }

    /** The same share of keys and of values, with the published window. */
    public static Mustafar uniform(float sparsity) {
        return new Mustafar(sparsity, sparsity, RESIDUAL, KvPacking.UNIT);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "mustafar:keys=" + keys + ",values=" + values + ",residual=" + residual + ",unit=" + unit;
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        KvPacking packing = new KvPacking(keys, values, residual, unit);
        return List.of(new Rewrite(
                Rewrite.Stage.ATTENTION,
                Set.of(Phase.PREFILL, Phase.DECODE, Phase.VERIFY),
                Set.of(new Claim(Role.ATTENTION, Aspect.KEYS)),
                graph -> packing.keepsAll() ? graph : packed(graph, packing)));
    }

    private static Graph packed(Graph graph, KvPacking packing) {
        if (graph.at(Role.ATTENTION).stream().noneMatch(node -> node.op() instanceof Attention)) {
            throw new IncompatiblePolicyException("mustafar: this model has no attention over a cache");
        }
        return graph.transform((node, inputs, builder) ->
                node.op() instanceof Attention attention && node.site().role() == Role.ATTENTION
                        ? packed(attention, packing, node, inputs, builder)
                        : builder.add(node.op(), node.site(), inputs));
    }

    private static List<Value> packed(
            Attention attention, KvPacking packing, Node node, List<Value> inputs, GraphBuilder builder) {
        if (attention.shape().dtype() == DType.I8) {
            throw new IncompatiblePolicyException("mustafar: a cache of I8 cannot be packed, its numbers mean nothing"
                    + " without the scale of their row; load the model with keys and values of F32 or BF16");
        }
        PackedAttention op = new PackedAttention(attention, packing);
        List<Value> operands = new ArrayList<>(inputs);
        operands.add(op.format().declare(builder));
        return builder.add(op, node.site(), operands);
    }
}
