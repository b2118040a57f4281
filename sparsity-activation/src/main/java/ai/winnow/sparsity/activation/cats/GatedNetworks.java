package ai.winnow.sparsity.activation.cats;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseLinear;
import ai.winnow.ir.ThresholdSelect;
import ai.winnow.ir.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The gated feed-forward networks of a graph: {@code down(activation(gate(x)) * up(x))}.
 *
 * @param byProduct the networks by the site of their product
 */
record GatedNetworks(Graph graph, Map<Site, Network> byProduct) {

    /** The nodes of one network. */
    private record Network(Node activation, Node up, Node product, Node down) {}

    /** Gives the threshold of the network whose activation stands at a site. */
    interface Thresholds {
        float at(Site activation);
    }

    static GatedNetworks of(Graph graph) {
        Map<Integer, Node> makers = new HashMap<>();
        graph.nodes().forEach(node -> node.outputs().forEach(value -> makers.put(value.id(), node)));
        Map<Site, Network> networks = new java.util.LinkedHashMap<>();
        for (Node down : graph.at(Role.DOWN)) {
            Node product = makers.get(down.input(0).id());
            if (down.op() instanceof Linear && product != null && product.site().role() == Role.PRODUCT) {
                Node first = makers.get(product.input(0).id());
                Node second = makers.get(product.input(1).id());
                boolean swapped = second != null && second.site().role() == Role.ACTIVATION;
                Node activation = swapped ? second : first;
                Node up = swapped ? first : second;
                if (activation != null
                        && activation.site().role() == Role.ACTIVATION
                        && up != null
                        && up.op() instanceof Linear) {
                    networks.put(product.site(), new Network(activation, up, product, down));
                }
            }
        }
        if (networks.isEmpty()) {
            throw new IncompatiblePolicyException(
                    "cats: this model has no gated feed-forward network (a product of an activation and a linear layer)");
        }
        return new GatedNetworks(graph, networks);
    }

    /** The sites of the activations. */
    List<Site> activations() {
        return byProduct.values().stream()
                .map(network -> network.activation().site())
                .toList();
    }

    /** The graph in which what does not exceed its threshold is skipped. */
    Graph withThresholds(Thresholds thresholds) {
        Map<Site, List<Value>> upInputs = new HashMap<>();
        Map<Site, Network> byDown = new HashMap<>();
        byProduct.values().forEach(network -> byDown.put(network.down().site(), network));
        return graph.transform((node, inputs, builder) -> {
            Network network = byProduct.get(node.site());
            if (network != null) {
                float threshold = thresholds.at(network.activation().site());
                return product(network, threshold, inputs, upInputs, builder);
            }
            if (byDown.containsKey(node.site()) && node.op() instanceof Linear linear) {
                InputSelection nonZero = new InputSelection.Threshold(0);
                return builder.add(new SparseLinear(nonZero, linear.bias()), node.site(), inputs);
            }
            if (node.site().role() == Role.UP) {
                upInputs.put(node.site(), inputs);
            }
            return builder.add(node.op(), node.site(), inputs);
        });
    }

    /**
     * Both selected gate and masked up are recorded here, where gate and up are known whichever came first; the dense up is read
     * by nobody any more and drops out.
     */
    private static List<Value> product(
            Network network,
            float threshold,
            List<Value> inputs,
            Map<Site, List<Value>> upInputs,
            GraphBuilder builder) {
        Node product = network.product();
        int gateIndex = product.input(0).equals(network.activation().output()) ? 0 : 1;
        Value selected =
                builder.add(new ThresholdSelect(threshold), network.activation().site(), inputs.get(gateIndex));
        List<Value> operands = new ArrayList<>(
                java.util.Objects.requireNonNull(upInputs.get(network.up().site())));
        operands.add(2, selected);
        boolean bias = operands.size() > 3;
        Value up = builder.add(new MaskedLinear(bias), network.up().site(), operands)
                .getFirst();
        List<Value> factors = gateIndex == 0 ? List.of(selected, up) : List.of(up, selected);
        return builder.add(product.op(), product.site(), factors);
    }
}
