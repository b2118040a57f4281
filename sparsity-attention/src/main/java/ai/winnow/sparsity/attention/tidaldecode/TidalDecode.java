package ai.winnow.sparsity.attention.tidaldecode;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.ScoredAttention;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.Value;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Position persistent sparse attention (TidalDecode, section 3): the selection layers attend to all keys and choose {@code budget} of
 * them, every later layer up to the next selection layer attends to the chosen ones only. Layers before the first selection layer are
 * dense, and so are those with a sliding window. The selection is made anew at each step and no key is ever dropped.
 *
 * <p>The accuracy code of the authors chooses for each query head; where heads share keys the union of such lists is read, so here one
 * list serves all query heads of a key-value head: each key counts with the greatest probability that one of them gives it. The current
 * token is always seen, as in their engine.
 *
 * @param budget keys a list, the current token beside them; sequences that have no more are dense
 * @param select the first selection layer
 * @param reselect the second; one that is not behind {@code select} is left out, {@value #AUTOMATIC} stands for 0.4 of the layers, where
 *     the authors found it (13 of 32), or for none if that is the last layer
 * @param perHead whether each query head has a list of its own
 */
public record TidalDecode(int budget, int select, int reselect, boolean perHead) implements SparsityMethod {

    /** The second selection layer where the authors found it. */
    public static final int AUTOMATIC = -1;

    private static final int SELECT = 2;
    private static final double RESELECT = 0.4;

    static final MethodInfo INFO = new MethodInfo(
            "tidal-decode",
            "lets most layers attend to the keys that a few layers chose",
            "Yang et al., TidalDecode: Fast and Accurate LLM Decoding with Position Persistent Sparse Attention, ICLR 2025, arXiv 2410.05076");

    public TidalDecode {
        if (budget < 1) {
            throw new IncompatiblePolicyException("tidal-decode: budget must be at least 1 key, not " + budget);
        }
        if (select < 0 || reselect < AUTOMATIC) {
            throw new IncompatiblePolicyException(
                    "tidal-decode: the selection layers must be from 0 on, not " + select + " and " + reselect);
        }
    }

    /** With the selection layers of the paper. */
    public static TidalDecode of(int budget) {
        return new TidalDecode(budget, SELECT, AUTOMATIC, false);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "tidal-decode:budget=" + budget + ",select=" + select + ",reselect=" + reselect + ",per-head=" + perHead;
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        return List.of(new Rewrite(
                Rewrite.Stage.ATTENTION,
                Set.of(Phase.DECODE),
                Set.of(new Claim(Role.ATTENTION, Aspect.KEYS)),
                this::sparse));
    }

    private Graph sparse(Graph graph) {
        List<Node> layers = graph.at(Role.ATTENTION).stream()
                .filter(node -> node.op() instanceof Attention)
                .toList();
        if (layers.isEmpty()) {
            throw new IncompatiblePolicyException("tidal-decode: this model has no attention over a cache");
        }
        if (((Attention) layers.getFirst().op()).shape().contextLength() <= budget) {
            return graph;
        }
        if (select >= layers.size() - 1) {
            throw new IncompatiblePolicyException("tidal-decode: with the first selection in layer " + select
                    + " no layer of this model's " + layers.size() + " is sparse; give an earlier one (select=0)");
        }
        Roles roles = new Roles(layers.size());
        return graph.transform((node, inputs, builder) -> node.op() instanceof Attention attention
                ? List.of(roles.attend(attention, node.site(), inputs, builder))
                : builder.add(node.op(), node.site(), inputs));
    }

    /** What the layers do, in their order. */
    private final class Roles {

        private final int second;
        private @Nullable SelectKeys selection;
        private List<Value> lists = List.of();

        Roles(int layers) {
            int found = (int) Math.round(RESELECT * layers);
            this.second = reselect == AUTOMATIC ? (found < layers - 1 ? found : select) : reselect;
        }

        Value attend(Attention attention, Site site, List<Value> inputs, GraphBuilder builder) {
            boolean selects = attention.layer() == select || (attention.layer() == second && second > select);
            SelectKeys chosen = selection;
            if (attention.window() > 0 || (chosen == null && !selects)) {
                return builder.add(attention, site, inputs).getFirst();
            }
            if (selects || chosen == null) {
                return scored(attention, site, inputs, builder);
            }
            List<Value> operands = new ArrayList<>(inputs);
            operands.addAll(1, lists);
            return builder.add(new SparseAttention(attention, chosen.keys()), site, operands)
                    .getFirst();
        }

        /** Attends to all keys and chooses some for the layers behind. */
        private Value scored(Attention attention, Site site, List<Value> inputs, GraphBuilder builder) {
            KvShape shape = attention.shape();
            int each = perHead ? attention.queryHeads() : shape.heads();
            List<Value> made = builder.add(new ScoredAttention(attention, each, budget), site, inputs);
            SelectKeys op = SelectKeys.of(shape, attention.layer(), each, 1, 1, new KeyRule.TopK(budget), 0, 1, budget);
            List<Value> operands = List.of(made.get(1), inputs.get(1), inputs.get(2), inputs.get(3), inputs.get(7));
            selection = op;
            lists = builder.add(op, Site.of(attention.layer(), Role.OTHER), operands);
            return made.getFirst();
        }
    }
}
