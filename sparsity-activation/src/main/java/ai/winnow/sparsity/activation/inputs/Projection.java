package ai.winnow.sparsity.activation.inputs;

import ai.winnow.ir.Graph;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A linear layer whose inputs may be skipped.
 *
 * @param weight its matrix {@code [out, in]}
 * @param weighted whether inputs are scored by their magnitude times the norm of their column, not by the magnitude alone
 * @param source where its scores are counted: its own site, or, where scores are the same, the first that reads the same input
 */
record Projection(Site site, WeightRef weight, boolean weighted, Site source) {

    /** The roles of projections, in the order that breaks ties between them. */
    static final List<Role> ROLES =
            List.of(Role.QUERY, Role.KEY, Role.VALUE, Role.OUTPUT, Role.GATE, Role.UP, Role.DOWN);

    /** The projections of {@code graph}, layer by layer, those of a layer in the order of {@link #ROLES}. */
    static Map<Site, Projection> of(Graph graph, Set<Role> weighted) {
        Map<Site, Projection> found = new LinkedHashMap<>();
        Map<Integer, Site> firstReaders = new HashMap<>();
        for (Node node : inOrder(graph)) {
            if (node.op() instanceof Linear
                    && node.input(1).origin() instanceof Value.Origin.Weight(WeightRef weight)) {
                Site site = node.site();
                boolean byNorm = weighted.contains(site.role());
                Site source = byNorm
                        ? site
                        : firstReaders.computeIfAbsent(node.input(0).id(), id -> site);
                found.put(site, new Projection(site, weight, byNorm, source));
            }
        }
        return found;
    }

    private static List<Node> inOrder(Graph graph) {
        return graph.nodes().stream()
                .filter(node -> node.site().layer() != Site.GLOBAL
                        && ROLES.contains(node.site().role()))
                .sorted(java.util.Comparator.<Node>comparingInt(
                                node -> node.site().layer())
                        .thenComparingInt(node -> ROLES.indexOf(node.site().role())))
                .toList();
    }

    int inputs() {
        return Math.toIntExact(weight.spec().shape().max(1));
    }

    /** Elements of the matrix. */
    long size() {
        return weight.spec().shape().maxElements();
    }
}
