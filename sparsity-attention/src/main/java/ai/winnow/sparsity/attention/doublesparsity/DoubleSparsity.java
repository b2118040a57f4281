package ai.winnow.sparsity.attention.doublesparsity;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvPlaneAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.SelectChannels;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Token sparsity by channel sparsity (Double Sparsity, section 3): of each key a few channels, those that calibration found heavy, are kept
 * together as its label; a query's product with the labels ranks all keys, and attention is over the {@code budget} best. Prefill is dense
 * and writes labels. No key is dropped, and none is chosen for its place.
 *
 * @param budget keys a list; {@link Integer#MAX_VALUE} for all, which needs no calibration
 * @param factor channels of a key for each channel of its label: 16 keeps a sixteenth
 * @param ranking what makes a channel heavy
 * @param denseLayers layers that are never sparse, from the first on
 * @param from up to how many keys attention is dense: scoring costs more than it saves
 * @param perHead whether each query head has a list of its own, as published; else those of a key-value head share one, and a key counts as
 *     the best of them ranks it, which reads each key once
 * @param labels the type of labels, F32 or BF16
 */
public record DoubleSparsity(
        int budget, int factor, Ranking ranking, int denseLayers, int from, boolean perHead, DType labels)
        implements SparsityMethod {

    static final MethodInfo INFO = new MethodInfo(
            "double-sparsity",
            "attends to the keys that a few heavy channels rank best",
            "Yang et al., Post-Training Sparse Attention with Double Sparsity, 2024, arXiv 2408.07092");

    /** What makes a channel of a head heavy, averaged over the tokens of calibration; all after the rotary embedding, where labels are used. */
    public enum Ranking {
        /** The magnitude of the queries. */
        Q,
        /** The magnitude of the keys. */
        K,
        /** The magnitude of the product of each token's query and its own key. */
        QK
    }

    public DoubleSparsity {
        if (budget < 1) {
            throw new IncompatiblePolicyException("double-sparsity: budget must be at least 1 key, not " + budget);
        }
        if (factor < 1 || denseLayers < 0 || from < 0) {
            throw new IncompatiblePolicyException("double-sparsity: factor must be at least 1, dense and from at least"
                    + " 0, not " + factor + ", " + denseLayers + " and " + from);
        }
        if (labels != DType.F32 && labels != DType.BF16) {
            throw new IncompatiblePolicyException("double-sparsity: labels are f32 or bf16, not " + labels);
        }
    }

    /** A sixteenth of the channels, two dense layers, a list for each query head. */
    public static DoubleSparsity of(int budget) {
        return new DoubleSparsity(budget, 16, Ranking.Q, 2, 2048, true, DType.BF16);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "double-sparsity:budget=" + budget + ",factor=" + factor + ",rank=" + MethodOptions.spell(ranking)
                + ",dense=" + denseLayers + ",from=" + from + ",per-head=" + perHead + ",labels="
                + MethodOptions.spell(labels);
    }

    @Override
    public Optional<Calibrator> calibrator() {
        return budget == Integer.MAX_VALUE ? Optional.empty() : Optional.of(new HeavyChannels(ranking));
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        if (budget == Integer.MAX_VALUE) {
            return List.of();
        }
        Set<Claim> keys = Set.of(new Claim(Role.ATTENTION, Aspect.KEYS));
        return List.of(
                new Rewrite(
                        Rewrite.Stage.ATTENTION,
                        Set.of(Phase.PREFILL, Phase.VERIFY),
                        Set.of(),
                        graph -> labelled(graph, artefact)),
                new Rewrite(Rewrite.Stage.ATTENTION, Set.of(Phase.DECODE), keys, graph -> sparse(graph, artefact)));
    }

    private Graph labelled(Graph graph, Artefact artefact) {
        return isDense(graph) ? graph : graph.transform(new Change(artefact, false)::apply);
    }

    private Graph sparse(Graph graph, Artefact artefact) {
        return isDense(graph) ? graph : graph.transform(new Change(artefact, true)::apply);
    }

    /** Whether no sequence can have more keys than are attended to. */
    private boolean isDense(Graph graph) {
        List<KvAppend> layers = graph.nodes().stream()
                .filter(node -> node.op() instanceof KvAppend)
                .map(node -> (KvAppend) node.op())
                .toList();
        if (layers.isEmpty()) {
            throw new IncompatiblePolicyException("double-sparsity: this model has no attention over a cache");
        }
        if (denseLayers >= layers.size()) {
            throw new IncompatiblePolicyException("double-sparsity: with " + denseLayers + " dense layers none of this"
                    + " model's " + layers.size() + " is sparse; leave fewer dense (dense=0)");
        }
        return layers.getFirst().shape().contextLength() <= Math.max(budget, from);
    }

    /** The label of each key is written behind it, and attention, where it is to be sparse, is over a list. */
    private final class Change {

        private final Artefact artefact;
        private final boolean sparse;

        Change(Artefact artefact, boolean sparse) {
            this.artefact = artefact;
            this.sparse = sparse;
        }

        List<Value> apply(Node node, List<Value> inputs, GraphBuilder builder) {
            if (node.op() instanceof KvAppend append && append.layer() >= denseLayers) {
                List<Value> made = builder.add(append, node.site(), inputs);
                label(append, inputs, builder);
                return made;
            }
            if (sparse
                    && node.op() instanceof Attention attention
                    && attention.layer() >= denseLayers
                    && attention.window() == 0) {
                return attend(attention, node.site(), inputs, builder);
            }
            return builder.add(node.op(), node.site(), inputs);
        }

        private void label(KvAppend append, List<Value> inputs, GraphBuilder builder) {
            KvShape shape = append.shape();
            KvPlane plane = plane(shape);
            Site site = Site.of(append.layer(), Role.OTHER);
            SelectChannels heavy = new SelectChannels(shape.heads(), shape.headDim(), shape.heads(), plane.width());
            Value label = builder.add(heavy, site, inputs.getFirst(), channels(shape, append.layer(), builder));
            List<Value> operands = new ArrayList<>(List.of(label));
            operands.addAll(inputs.subList(2, 5));
            operands.addAll(List.of(plane.declare(builder), inputs.get(7), inputs.get(8)));
            builder.add(new KvPlaneAppend(shape, append.layer(), plane), site, operands);
        }

        private List<Value> attend(Attention attention, Site at, List<Value> inputs, GraphBuilder builder) {
            KvShape shape = attention.shape();
            KvPlane plane = plane(shape);
            Site site = Site.of(attention.layer(), Role.OTHER);
            int heads = attention.queryHeads();
            SelectChannels heavy = new SelectChannels(heads, shape.headDim(), shape.heads(), plane.width());
            Value query = builder.add(heavy, site, inputs.getFirst(), channels(shape, attention.layer(), builder));
            int denseUpTo = Math.max(budget, from);
            SelectKeys select = SelectKeys.of(
                    shape,
                    attention.layer(),
                    perHead ? heads : shape.heads(),
                    1,
                    1,
                    new KeyRule.TopK(budget),
                    0,
                    0,
                    denseUpTo);
            ScoreKeys score = new ScoreKeys(
                    select.keys(), attention.layer(), plane, heads, 1, ScoreKeys.Reduction.GREATEST, denseUpTo);
            List<Value> operands = new ArrayList<>(List.of(query));
            operands.addAll(inputs.subList(1, 4));
            operands.addAll(List.of(plane.declare(builder), inputs.get(6), inputs.get(7)));
            Value scores = builder.add(score, site, operands).getFirst();
            List<Value> lists = builder.add(
                    select, site, List.of(scores, inputs.get(1), inputs.get(2), inputs.get(3), inputs.get(7)));
            List<Value> attended = new ArrayList<>(inputs);
            attended.addAll(1, lists);
            return builder.add(new SparseAttention(attention, select.keys()), at, attended);
        }

        private Value channels(KvShape shape, int layer, GraphBuilder builder) {
            String name = HeavyChannels.name(ranking, layer);
            Tensor channels = artefact.tensor(name);
            requireChannels(channels, shape, name);
            return builder.weight(WeightRef.artefact(name, TensorSpec.of(DType.I32, shape.heads(), shape.headDim())));
        }
    }

    private KvPlane plane(KvShape shape) {
        return new KvPlane("double-sparsity", labels, Math.max(1, shape.headDim() / factor), 1);
    }

    private static void requireChannels(Tensor channels, KvShape shape, String name) {
        TensorSpec wanted = TensorSpec.of(DType.I32, shape.heads(), shape.headDim());
        boolean fits = channels.spec().equals(wanted);
        for (int head = 0; fits && head < shape.heads(); head++) {
            BitSet seen = new BitSet();
            for (int i = 0; i < shape.headDim(); i++) {
                int channel = (int) channels.getFloat((long) head * shape.headDim() + i);
                fits &= channel >= 0 && channel < shape.headDim() && !seen.get(channel);
                seen.set(fits ? channel : 0);
            }
        }
        if (!fits) {
            throw new ArtefactException("'" + name + "' must list each channel of a head once, " + wanted + ", and is "
                    + channels.spec() + "; calibrate again with this model");
        }
    }
}
