package ai.winnow.runtime;

import ai.winnow.BackendException;
import ai.winnow.ir.Fused;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphCheck;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;
import ai.winnow.tensor.Layout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Turns graphs into a {@link Plan}: asks the backends for each node by rank, decomposes what all of them refuse, chooses one
 * layout for each weight over all phases, and lays the values out in memory.
 */
final class Planner {

    /** How much more the layout that decoding prefers counts than that of another phase: decoding reads all weights for one row. */
    private static final int DECODE_WEIGHT = 4;

    private final List<KernelProvider> providers;
    private final int weightGroup;

    /** @param weightGroup weights of I4 that share a scale */
    Planner(Backends backends, int weightGroup) {
        this.providers = backends.ready();
        this.weightGroup = weightGroup;
    }

    /** A backend takes a node. */
    private record Offer(String backend, Support.Supported support, int weightGroup) {
        /** The layouts read for input {@code index}, best first, of those with groups as they were asked for. */
        List<Layout> layouts(int index) {
            return support.layouts(index).stream()
                    .filter(layout -> !(layout instanceof Layout.ScaledGroups groups) || groups.group() == weightGroup)
                    .toList();
        }
    }

    /**
     * A graph in which every node is taken by a backend.
     *
     * @param offers who takes each node, in the nodes' order
     */
    private record Lowered(Graph graph, List<Offer> offers, List<Plan.Refusal> refusals) {}

    Plan plan(Map<Phase, Graph> graphs) {
        List<Lowered> lowered = graphs.values().stream().map(this::lower).toList();
        Map<WeightRef, Layout> layouts = chooseLayouts(lowered);
        Map<Phase, Plan.PhasePlan> phases = new EnumMap<>(Phase.class);
        long activations = 0;
        long scratch = 0;
        for (Lowered each : lowered) {
            Graph graph = each.graph();
            List<Plan.Step> steps = new ArrayList<>();
            for (int i = 0; i < graph.nodes().size(); i++) {
                Plan.Step step = bind(graph.nodes().get(i), each.offers().get(i), layouts);
                scratch = Math.max(scratch, step.kernel().workspaceBytes());
                steps.add(step);
            }
            MemoryLayout memory = MemoryLayout.of(graph);
            activations = Math.max(activations, memory.bytes());
            phases.put(graph.phase(), new Plan.PhasePlan(graph, steps, memory.offsets(), each.refusals()));
        }
        return new Plan(phases, activations, scratch);
    }

    /** Decomposes, again and again, every composite op that no backend takes. */
    private Lowered lower(Graph graph) {
        List<Plan.Refusal> refusals = new ArrayList<>();
        Graph current = graph;
        while (true) {
            boolean[] decomposed = {false};
            Graph next = current.transform((node, inputs, builder) -> {
                List<String> reasons = new ArrayList<>();
                if (offer(node, graph.phase(), reasons).isPresent()) {
                    return builder.add(node.op(), node.site(), inputs);
                }
                if (node.op() instanceof Fused.Composite composite) {
                    decomposed[0] = true;
                    refusals.add(new Plan.Refusal(node, reasons, true));
                    return builder.decompose(composite, node.site(), inputs);
                }
                throw new BackendException("no backend runs " + node + ": " + reasons);
            });
            if (!decomposed[0]) {
                return new Lowered(current, offers(current, refusals), refusals);
            }
            GraphCheck.check(next, "decomposition");
            current = next;
        }
    }

    private List<Offer> offers(Graph graph, List<Plan.Refusal> refusals) {
        List<Offer> offers = new ArrayList<>();
        for (Node node : graph.nodes()) {
            List<String> reasons = new ArrayList<>();
            offers.add(offer(node, graph.phase(), reasons).orElseThrow());
            if (!reasons.isEmpty()) {
                refusals.add(new Plan.Refusal(node, reasons, false));
            }
        }
        return offers;
    }

    /** The first backend that takes {@code node}; the reasons of those before it are added to {@code reasons}. */
    private Optional<Offer> offer(Node node, Phase phase, List<String> reasons) {
        KernelRequest request = KernelRequest.of(node, phase);
        for (KernelProvider provider : providers) {
            switch (provider.kernelFor(request)) {
                case Support.Supported supported -> {
                    return Optional.of(new Offer(provider.name(), supported, weightGroup));
                }
                case Support.Refused refused -> reasons.add(provider.name() + ": " + refused.reason());
            }
        }
        return Optional.empty();
    }

    /**
     * One layout for each weight: of those that all its kernels read, the one they like best. A weight whose kernels have none in
     * common is left out; each of them gets the copy it likes best.
     */
    private static Map<WeightRef, Layout> chooseLayouts(List<Lowered> lowered) {
        Map<WeightRef, List<List<Layout>>> wishes = new LinkedHashMap<>();
        for (Lowered each : lowered) {
            Graph graph = each.graph();
            for (int i = 0; i < graph.nodes().size(); i++) {
                List<Value> inputs = graph.nodes().get(i).inputs();
                for (int j = 0; j < inputs.size(); j++) {
                    if (inputs.get(j).origin() instanceof Value.Origin.Weight weight) {
                        List<Layout> wish = each.offers().get(i).layouts(j);
                        List<List<Layout>> all = wishes.computeIfAbsent(weight.ref(), _ -> new ArrayList<>());
                        all.addAll(Collections.nCopies(graph.phase() == Phase.DECODE ? DECODE_WEIGHT : 1, wish));
                    }
                }
            }
        }
        Map<WeightRef, Layout> chosen = new HashMap<>();
        wishes.forEach((ref, lists) -> lists.getFirst().stream()
                .filter(layout -> lists.stream().allMatch(list -> list.contains(layout)))
                .min(Comparator.comparingInt(layout ->
                        lists.stream().mapToInt(list -> list.indexOf(layout)).sum()))
                .ifPresent(layout -> chosen.put(ref, layout)));
        return chosen;
    }

    private static Plan.Step bind(Node node, Offer offer, Map<WeightRef, Layout> layouts) {
        List<Layout> read = new ArrayList<>();
        for (int i = 0; i < node.inputs().size(); i++) {
            Layout best = offer.layouts(i).getFirst();
            read.add(
                    node.input(i).origin() instanceof Value.Origin.Weight weight
                            ? layouts.getOrDefault(weight.ref(), best)
                            : Layout.ROW_MAJOR);
        }
        Kernel kernel = offer.support().factory().create(read);
        return new Plan.Step(
                node, kernel, offer.backend(), read, offer.support().note());
    }
}
