package ai.winnow.ir;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The nodes of one layer as a graph of their own. Its inputs are those of the whole graph, then, in the order of {@code entering},
 * the values that the layer reads and others make; its outputs are, in the order of {@code leaving}, the values that it makes and
 * others read.
 *
 * @param graph the layer
 * @param entering values of the whole graph
 * @param leaving values of the whole graph
 */
public record LayerGraph(Graph graph, List<Value> entering, List<Value> leaving) {

    public LayerGraph {
        entering = List.copyOf(entering);
        leaving = List.copyOf(leaving);
    }

    /** The names under which the graph takes what enters, in order. */
    public List<String> entryNames() {
        int count = graph.inputs().size();
        return graph.inputs().subList(count - entering.size(), count).stream()
                .map(Value::name)
                .toList();
    }

    static LayerGraph of(Graph whole, int layer) {
        List<Node> nodes = whole.nodes().stream()
                .filter(node -> node.site().layer() == layer)
                .toList();
        if (nodes.isEmpty()) {
            throw new IllegalArgumentException("the graph has no layer " + layer);
        }
        Set<Integer> made = new HashSet<>();
        nodes.forEach(node -> node.outputs().forEach(value -> made.add(value.id())));
        Map<Integer, Value> entering = new LinkedHashMap<>();
        for (Node node : nodes) {
            for (Value value : node.inputs()) {
                if (value.isComputed() && !made.contains(value.id())) {
                    entering.put(value.id(), value);
                }
            }
        }
        List<Value> leaving = leaving(whole, nodes, layer);
        return new LayerGraph(
                record(whole, nodes, entering.values(), leaving), List.copyOf(entering.values()), leaving);
    }

    private static List<Value> leaving(Graph whole, List<Node> nodes, int layer) {
        Set<Integer> read = new HashSet<>();
        whole.outputs().forEach(value -> read.add(value.id()));
        whole.nodes().stream().filter(node -> node.site().layer() != layer).forEach(node -> node.inputs()
                .forEach(value -> read.add(value.id())));
        return nodes.stream()
                .flatMap(node -> node.outputs().stream())
                .filter(value -> read.contains(value.id()))
                .toList();
    }

    private static Graph record(Graph whole, List<Node> nodes, Iterable<Value> entering, List<Value> leaving) {
        GraphBuilder builder = new GraphBuilder(whole.phase());
        Map<Integer, Value> mapped = new HashMap<>();
        Set<String> names = new HashSet<>();
        for (Value input : whole.inputs()) {
            names.add(input.name());
            mapped.put(input.id(), builder.input(input.name(), input.spec()));
        }
        for (Value value : entering) {
            String name = names.add(value.name()) ? value.name() : value.name() + "%" + value.id();
            mapped.put(value.id(), builder.input(name, value.spec()));
        }
        for (Node node : nodes) {
            List<Value> operands = new ArrayList<>();
            for (Value value : node.inputs()) {
                operands.add(
                        value.origin() instanceof Value.Origin.Weight weight
                                ? builder.weight(weight.ref())
                                : Graph.require(mapped, value));
            }
            List<Value> results = builder.add(node.op(), node.site(), operands);
            for (int i = 0; i < results.size(); i++) {
                mapped.put(node.outputs().get(i).id(), results.get(i));
            }
        }
        return builder.build(
                leaving.stream().map(value -> Graph.require(mapped, value)).toList());
    }
}
