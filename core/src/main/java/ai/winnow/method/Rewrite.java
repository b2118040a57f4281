package ai.winnow.method;

import ai.winnow.ir.Graph;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * A pure change of a graph, with what it touches as data, so that conflicts are found without knowing any method.
 *
 * @param stage when it is applied: all rewrites of a stage before those of the next
 * @param phases the graphs it is applied to
 * @param touches what it lays claim to; two rewrites of one policy must not claim the same in the same phase
 * @param change the change; returns the graph it was given if it has nothing to do
 */
public record Rewrite(Stage stage, Set<Phase> phases, Set<Claim> touches, UnaryOperator<Graph> change) {

    public Rewrite {
        phases = Set.copyOf(phases);
        touches = Set.copyOf(touches);
    }

    /** In which order rewrites are applied. */
    public enum Stage {
        WEIGHT,
        TOKEN,
        ATTENTION,
        ACTIVATION
    }

    /** What of a site can be claimed by one rewrite only. */
    public enum Aspect {
        /** Which inputs of a linear layer are read. */
        INPUTS,
        /** Which outputs of a linear layer are computed. */
        OUTPUTS,
        /** The numbers in a weight. */
        WEIGHT,
        /** Which rows go on. */
        ROWS,
        /** Which cached rows a query sees. */
        KEYS
    }

    /** One aspect of all sites of one role. */
    public record Claim(Role role, Aspect aspect) {}
}
