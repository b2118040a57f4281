package ai.winnow.sparsity.activation.inputs;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.calibrate.Histogram;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseLinear;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.method.Calibration;
import ai.winnow.method.Calibration.Observer;
import ai.winnow.method.Calibration.Probe;
import ai.winnow.method.Calibration.Tap;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/**
 * Skips, in every linear layer of attention and feed-forward networks, the inputs with the least scores {@code |x_j|}, or, in
 * {@code weighted} roles, {@code |x_j|} times the norm of column {@code j}. What was measured is kept as histograms and searches,
 * so that the sparsity is chosen when a model is loaded.
 *
 * @param prefix what the names of this method's tensors begin with
 * @param spec the method with its options, for messages
 */
public record InputSparsity(
        String prefix,
        String spec,
        float sparsity,
        Mode mode,
        Allocation allocation,
        Set<Role> weighted,
        GreedySearch search) {

    /** What sites of the layers' roles are claimed. */
    public static Set<Claim> claims(Aspect aspect) {
        return Projection.ROLES.stream().map(role -> new Claim(role, aspect)).collect(Collectors.toSet());
    }

    /** Whether anything must be measured. */
    public boolean needsCalibration() {
        return sparsity > 0 && (mode == Mode.THRESHOLD || allocation == Allocation.GREEDY);
    }

    /** Counts scores, and searches if the allocation asks for it. */
    public Map<String, Tensor> calibrate(Calibration calibration) {
        Map<Site, Projection> projections = projections(calibration.graph(Phase.PREFILL));
        Map<Site, Histogram> histograms = count(calibration, projections);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        histograms.forEach((site, histogram) -> tensors.put(name(site), histogram.toTensor(calibration.arena())));
        if (allocation == Allocation.GREEDY) {
            byLayer(projections)
                    .forEach((layer, list) -> tensors.put(name(layer), search(calibration, layer, list, histograms)));
        }
        return tensors;
    }

    /** The graph with its layers made sparse. */
    public Graph apply(Graph graph, Artefact artefact) {
        Map<Site, Projection> projections = projections(graph);
        Map<Site, Double> shares = new HashMap<>();
        byLayer(projections).forEach((layer, list) -> {
            double[] each = shares(layer, list.size(), artefact);
            for (int i = 0; i < each.length; i++) {
                shares.put(list.get(i).site(), each[i]);
            }
        });
        Map<Site, Histogram> histograms = new HashMap<>();
        if (mode == Mode.THRESHOLD) {
            projections
                    .values()
                    .forEach(each -> histograms.computeIfAbsent(
                            each.source(), site -> Histogram.of(tensor(artefact, name(site)))));
        }
        return sparse(graph, projections, shares, histograms, mode);
    }

    private double[] shares(int layer, int count, Artefact artefact) {
        if (allocation == Allocation.UNIFORM) {
            double[] all = new double[count];
            java.util.Arrays.fill(all, decimal(sparsity));
            return all;
        }
        Tensor found = tensor(artefact, name(layer));
        if (found.shape().rank() != 2 || found.shape().max(1) != count + 1) {
            throw new ArtefactException(
                    "'" + name(layer) + "' is " + found.spec() + ", expected [steps, " + (count + 1) + "]");
        }
        return GreedySearch.nearest(found, decimal(sparsity), spec);
    }

    private Map<Site, Projection> projections(Graph graph) {
        Map<Site, Projection> projections = Projection.of(graph, weighted);
        if (projections.isEmpty()) {
            throw new IncompatiblePolicyException(
                    spec + ": this model has no linear layer at any of " + Projection.ROLES);
        }
        return projections;
    }

    private static Map<Integer, List<Projection>> byLayer(Map<Site, Projection> projections) {
        return projections.values().stream()
                .collect(Collectors.groupingBy(each -> each.site().layer(), LinkedHashMap::new, Collectors.toList()));
    }

    private static Map<Site, Histogram> count(Calibration calibration, Map<Site, Projection> projections) {
        Map<Site, Histogram> histograms = new LinkedHashMap<>();
        Map<Probe, Observer> observers = new LinkedHashMap<>();
        for (Projection each : projections.values()) {
            if (!histograms.containsKey(each.source())) {
                Histogram histogram = new Histogram();
                histograms.put(each.source(), histogram);
                observers.put(new Probe(each.source(), Tap.INPUT), observer(calibration, each, histogram));
            }
        }
        calibration.observe(observers);
        return histograms;
    }

    private static Observer observer(Calibration calibration, Projection projection, Histogram histogram) {
        if (!projection.weighted()) {
            return histogram;
        }
        try (Arena temporary = Arena.ofShared()) {
            float[] norms = ColumnNorms.norms(calibration.weight(projection.weight(), temporary));
            return (values, rows) -> histogram.add(values, rows, norms);
        }
    }

    private Tensor search(
            Calibration calibration, int layer, List<Projection> projections, Map<Site, Histogram> histograms) {
        Map<Site, Projection> bySite = new LinkedHashMap<>();
        projections.forEach(each -> bySite.put(each.site(), each));
        ToDoubleFunction<double[]> error = shares -> {
            Map<Site, Double> chosen = new HashMap<>();
            for (int i = 0; i < shares.length; i++) {
                chosen.put(projections.get(i).site(), shares[i]);
            }
            // Thresholds, whatever the mode: the searches of both publications use them.
            return calibration.layerError(
                    layer, graph -> sparse(graph, bySite, chosen, histograms, Mode.THRESHOLD), search.lastFraction());
        };
        long[] sizes = projections.stream().mapToLong(Projection::size).toArray();
        return search.run(sizes, error, calibration.arena());
    }

    private static Graph sparse(
            Graph graph,
            Map<Site, Projection> projections,
            Map<Site, Double> shares,
            Map<Site, Histogram> histograms,
            Mode mode) {
        return graph.transform((node, inputs, builder) -> {
            Projection projection = projections.get(node.site());
            double share = shares.getOrDefault(node.site(), 0.0);
            if (projection == null || share == 0 || !(node.op() instanceof Linear linear)) {
                return builder.add(node.op(), node.site(), inputs);
            }
            if (mode == Mode.TOPK) {
                return topK(node, linear, inputs, builder, projection, share);
            }
            Histogram histogram = histograms.get(projection.source());
            if (histogram == null) {
                throw new IllegalStateException("no scores were counted at " + projection.source());
            }
            return threshold(node, linear, inputs, builder, projection, histogram.quantile(Math.min(1, share)));
        });
    }

    private static List<Value> topK(
            Node node, Linear linear, List<Value> inputs, GraphBuilder builder, Projection projection, double share) {
        int keep = keep(projection.inputs(), share);
        if (keep == projection.inputs()) {
            return builder.add(linear, node.site(), inputs);
        }
        if (projection.weighted()) {
            Value norms = builder.weight(ColumnNorms.of(projection.weight()));
            return builder.add(
                    new SparseLinear(new InputSelection.WeightedTopK(keep), linear.bias()),
                    node.site(),
                    with(inputs, norms));
        }
        return builder.add(new SparseLinear(new InputSelection.TopK(keep), linear.bias()), node.site(), inputs);
    }

    private static List<Value> threshold(
            Node node,
            Linear linear,
            List<Value> inputs,
            GraphBuilder builder,
            Projection projection,
            float threshold) {
        if (projection.weighted()) {
            WeightRef norms = ColumnNorms.of(projection.weight());
            Value thresholds = builder.weight(ChannelThresholds.of(norms, threshold));
            return builder.add(
                    new SparseLinear(new InputSelection.ChannelThreshold(), linear.bias()),
                    node.site(),
                    with(inputs, thresholds));
        }
        return builder.add(
                new SparseLinear(new InputSelection.Threshold(threshold), linear.bias()), node.site(), inputs);
    }

    /** Input, weight, the selection's operand, and the bias if there is one. */
    private static List<Value> with(List<Value> inputs, Value operand) {
        List<Value> operands = new ArrayList<>(inputs);
        operands.add(2, operand);
        return operands;
    }

    /** How many of {@code inputs} are kept when {@code share} is skipped: the floor, as if shares were exact. */
    static int keep(int inputs, double share) {
        return Math.max(0, (int) Math.floor(inputs * (1 - share) + 1e-6));
    }

    /** The decimal number that {@code value} is written as: 0.3 is three tenths, not the float next to it. */
    private static double decimal(float value) {
        return Double.parseDouble(Float.toString(value));
    }

    private Tensor tensor(Artefact artefact, String name) {
        if (!artefact.isEmpty() && !artefact.has(name)) {
            throw new ArtefactException(spec + " needs '" + name + "', which an artefact calibrated with "
                    + artefact.parameters() + " does not have; calibrate again with the options that you run with");
        }
        return artefact.tensor(name);
    }

    private String name(Site site) {
        return prefix + site.key();
    }

    private String name(int layer) {
        return prefix + "layer." + layer + ".greedy";
    }
}
