package ai.winnow.runtime;

import ai.winnow.ShapeException;
import ai.winnow.ir.Graph;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvRetain;
import ai.winnow.ir.Node;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Value;
import ai.winnow.kernel.Kernel;
import ai.winnow.tensor.Layout;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Graphs bound to kernels, with the layout of each weight and the place of each value in memory. Immutable; any number of
 * sessions run it.
 *
 * @param phases what to run in each phase
 * @param activationBytes memory that a session needs for the values of the largest phase
 * @param scratchBytes memory that the hungriest kernel needs while it runs
 */
public record Plan(Map<Phase, PhasePlan> phases, long activationBytes, long scratchBytes) {

    public Plan {
        phases = Map.copyOf(phases);
    }

    /** What to run in {@code phase}. */
    public PhasePlan phase(Phase phase) {
        PhasePlan plan = phases.get(phase);
        if (plan == null) {
            throw new ShapeException("this model has no graph for " + phase + "; it has " + phases.keySet());
        }
        return plan;
    }

    /**
     * What the graphs keep beside cached keys.
     *
     * @throws ShapeException if two of them call different planes the same
     */
    public Set<KvPlane> planes() {
        Map<String, KvPlane> planes = new TreeMap<>();
        for (PhasePlan phase : phases.values()) {
            for (KvPlane plane : KvPlane.of(phase.graph())) {
                KvPlane other = planes.putIfAbsent(plane.name(), plane);
                if (other != null && !other.equals(plane)) {
                    throw new ShapeException(
                            "the plane " + plane.name() + " is " + plane + " in one phase, " + other + " in another");
                }
            }
        }
        return new LinkedHashSet<>(planes.values());
    }

    /** Whether a graph drops rows of the cache after a step. */
    public boolean drops() {
        return phases.values().stream()
                .anyMatch(phase -> !KvRetain.of(phase.graph()).isEmpty());
    }

    /**
     * How the graphs want their cache to be packed, if at all.
     *
     * @throws ShapeException if they do not agree
     */
    public Optional<KvPacking> packing() {
        Set<Optional<KvPacking>> wishes = phases.values().stream()
                .filter(phase -> !phase.graph().at(Role.ATTENTION).isEmpty())
                .map(phase -> PackedAttention.of(phase.graph()))
                .collect(Collectors.toSet());
        if (wishes.size() > 1) {
            throw new ShapeException(
                    "the phases of this model want their cache to be packed in different ways: " + wishes);
        }
        return wishes.stream().findFirst().flatMap(wish -> wish);
    }

    /**
     * What to run in one phase.
     *
     * @param graph the graph as it runs: decomposed where no backend takes an op whole
     * @param steps its nodes in execution order
     * @param offsets where each computed value lies in the session's memory, by the value's id
     * @param refusals ops that not the first backend took whole, and why
     */
    public record PhasePlan(Graph graph, List<Step> steps, Map<Integer, Long> offsets, List<Refusal> refusals) {
        public PhasePlan {
            steps = List.copyOf(steps);
            offsets = Map.copyOf(offsets);
            refusals = List.copyOf(refusals);
        }

        /** Where a computed value lies in the session's memory. */
        long offset(Value value) {
            Long offset = offsets.get(value.id());
            if (offset == null) {
                throw new IllegalStateException(value + " has no place in memory");
            }
            return offset;
        }
    }

    /**
     * A node and the kernel that runs it.
     *
     * @param layouts the layout in which each input is read
     * @param note what the backend has to say about its choice of layouts, or empty
     */
    public record Step(Node node, Kernel kernel, String backend, List<Layout> layouts, String note) {
        public Step {
            layouts = List.copyOf(layouts);
        }
    }

    /**
     * An op that a backend did not take.
     *
     * @param reasons each backend's reason
     * @param decomposed whether it was decomposed; otherwise a lower backend took it
     */
    public record Refusal(Node node, List<String> reasons, boolean decomposed) {
        public Refusal {
            reasons = List.copyOf(reasons);
        }
    }
}
