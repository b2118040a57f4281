package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Dynamic Hierarchical Sparse Attention: in PREFILL the keys of a sequence are cut into chunks, each block of queries scores the chunks, and
 * attends to the {@code budget} keys of the best of them, with the latest and the first keys beside. One list serves all heads. Decoding is
 * dense, and so are layers with a sliding window, and blocks that see no more keys than the budget, bit for bit.
 *
 * @param budget keys that a block of queries sees; {@link Integer#MAX_VALUE} for all
 * @param block queries of a block
 * @param boundaries how chunks are found
 * @param chunk tokens of a chunk, where all have as many
 * @param beta the most chunks for each {@code block} tokens, where they vary
 * @param theta what a gap's logit must be above to be a boundary
 * @param tail rows at the end of a step that attend to all keys, with the blocks they are in: the instruction behind a text
 * @param local the latest keys that a block always sees
 * @param global the first keys of the text that a block always sees
 * @param pooling what becomes of means
 * @param share whether boundaries are those of layer 0's keys in all layers
 */
public record Dhsa(
        int budget,
        int block,
        Boundary boundaries,
        int chunk,
        int beta,
        float theta,
        int tail,
        int local,
        int global,
        Pooling pooling,
        boolean share)
        implements SparsityMethod {

    static final int WINDOW = 4;

    static final MethodInfo INFO = new MethodInfo(
            "dhsa",
            "lets blocks of a prompt attend to the best of chunks that follow the text",
            "Xiong et al., DHSA: Dynamic Hierarchical Sparse Attention, 2025, arXiv 2510.24606");

    /** How chunks are found. */
    public enum Boundary {
        /** All have the same length. */
        FIXED,
        /** Cuts are where the mean keys of the 4 tokens before and behind point apart the most: ours, without training. */
        SIMILARITY,
        /** Cuts are where a trained predictor says so, as published. */
        PREDICTOR;

        /** The published threshold of the predictor's logit; else none, so that only the number of chunks bounds them. */
        float theta() {
            return this == PREDICTOR ? 1.1f : 0;
        }
    }

    /** What the means of chunks and blocks are multiplied by. */
    public enum Pooling {
        /** The root of how many tokens they stand for. */
        NORM,
        /** Nothing. */
        MEAN
    }

    public Dhsa {
        if (budget < 1 || block < 1 || chunk < 1 || beta < 1) {
            throw new IncompatiblePolicyException("dhsa: budget, block, chunk and beta must be at least 1, not "
                    + budget + ", " + block + ", " + chunk + " and " + beta);
        }
        if (tail < 0 || local < 0 || global < 0 || Float.isNaN(theta)) {
            throw new IncompatiblePolicyException(
                    "dhsa: tail, local and global must be at least 0 and theta a number, not " + tail + ", " + local
                            + ", " + global + " and " + theta);
        }
        if ((long) local + global > budget) {
            throw new IncompatiblePolicyException("dhsa: a budget of " + budget + " keys does not hold " + local
                    + " local and " + global + " global ones; give more, or fewer of those");
        }
        if (budget < Integer.MAX_VALUE && global == 0 && local < block) {
            throw new IncompatiblePolicyException("dhsa: without global keys the first rows of a block of " + block
                    + " might see no key; local must be at least as many, not " + local);
        }
    }

    /** The published sizes, with chunks from similarity. */
    public static Dhsa of(int budget) {
        int placed = Math.min(128, budget / 4);
        return new Dhsa(
                budget, 128, Boundary.SIMILARITY, 32, 8, 0, 64, placed, Math.max(1, placed), Pooling.NORM, true);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "dhsa:budget=" + budget + ",block=" + block + ",boundaries=" + MethodOptions.spell(boundaries)
                + ",chunk=" + chunk + ",beta=" + beta + ",theta=" + theta + ",tail=" + tail + ",local=" + local
                + ",global=" + global + ",pooling=" + MethodOptions.spell(pooling) + ",share=" + share;
    }

    @Override
    public Optional<Calibrator> calibrator() {
        return boundaries != Boundary.PREDICTOR || budget == Integer.MAX_VALUE
                ? Optional.empty()
                : Optional.of(calibration -> {
                    throw new IncompatiblePolicyException("dhsa: the predictor is not measured but trained elsewhere;"
                            + " import its weights with PredictorImport, or choose boundaries=similarity");
                });
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        return List.of(new Rewrite(
                Rewrite.Stage.ATTENTION,
                Set.of(Phase.PREFILL),
                Set.of(new Claim(Role.ATTENTION, Aspect.KEYS)),
                graph -> sparse(graph, artefact)));
    }

    private Graph sparse(Graph graph, Artefact artefact) {
        int context = graph.at(Role.ATTENTION).stream()
                .filter(node -> node.op() instanceof Attention)
                .map(node -> ((Attention) node.op()).shape().contextLength())
                .findFirst()
                .orElseThrow(() -> new IncompatiblePolicyException("dhsa: this model has no attention over a cache"));
        if (context <= budget) {
            return graph;
        }
        Change change = new Change(rule(artefact));
        return graph.transform(
                (node, inputs, builder) -> node.op() instanceof Attention attention && attention.window() == 0
                        ? change.attend(attention, node.site(), inputs, builder)
                        : builder.add(node.op(), node.site(), inputs));
    }

    private Boundaries.Rule rule(Artefact artefact) {
        Cuts cuts = new Cuts(WINDOW, theta, block, beta, tail);
        return switch (boundaries) {
            case FIXED -> new Boundaries.Rule.Fixed(chunk);
            case SIMILARITY -> new Boundaries.Rule.Similarity(cuts);
            case PREDICTOR -> new Boundaries.Rule.Predicted(cuts, PredictorImport.predictor(artefact));
        };
    }

    /** Boundaries, lists of keys, and attention over them. */
    private final class Change {

        private final Boundaries.Rule rule;
        private List<Value> shared = List.of();

        Change(Boundaries.Rule rule) {
            this.rule = rule;
        }

        List<Value> attend(Attention attention, Site at, List<Value> inputs, GraphBuilder builder) {
            int layer = attention.layer();
            List<Value> cache =
                    List.of(inputs.get(1), inputs.get(2), inputs.get(3), inputs.get(4), inputs.get(6), inputs.get(7));
            Site site = Site.of(layer, Role.OTHER);
            Boundaries cut = new Boundaries(attention.shape(), share ? 0 : layer, rule);
            List<Value> chunks = shared;
            if (chunks.isEmpty()) {
                List<Value> operands = new ArrayList<>(cache);
                if (rule instanceof Boundaries.Rule.Predicted predicted) {
                    predicted
                            .predictor()
                            .weights()
                            .forEach((name, spec) -> operands.add(builder.weight(WeightRef.artefact(name, spec))));
                }
                chunks = builder.add(cut, site, operands);
                shared = share ? chunks : List.of();
            }
            ChunkLists choose = new ChunkLists(
                    KeyLists.of(attention.shape(), attention.shape().heads(), block),
                    layer,
                    attention.queryHeads(),
                    cut.mostChunks(),
                    budget,
                    local,
                    global,
                    tail,
                    Math.max(tail, boundaries == Boundary.FIXED ? 0 : 2 * WINDOW - 1),
                    pooling == Pooling.NORM);
            List<Value> operands = new ArrayList<>(List.of(inputs.getFirst()));
            operands.addAll(chunks);
            operands.addAll(cache);
            List<Value> attended = new ArrayList<>(inputs);
            attended.addAll(1, builder.add(choose, site, operands));
            return builder.add(new SparseAttention(attention, choose.keys()), at, attended);
        }
    }
}
