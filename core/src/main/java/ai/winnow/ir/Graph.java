package ai.winnow.ir;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;

/** Nodes in execution order, the inputs they read, and the values that whoever runs the graph may look at afterwards. */
public record Graph(Phase phase, List<Value> inputs, List<Node> nodes, List<Value> outputs) {

    public Graph {
        inputs = List.copyOf(inputs);
        nodes = List.copyOf(nodes);
        outputs = List.copyOf(outputs);
    }

    /** What becomes of one node: records its replacement with {@code builder} and returns a value for each of its outputs. */
    @FunctionalInterface
    public interface NodeTransform {
        /** @param inputs the node's inputs as they are in the new graph */
        List<Value> apply(Node node, List<Value> inputs, GraphBuilder builder);
    }

    /**
     * The graph with every node replaced by what {@code transform} records for it. Nodes that nobody reads any more are dropped,
     * shapes are inferred anew. If nothing changes, this very graph is returned.
     */
    public Graph transform(NodeTransform transform) {
        GraphBuilder builder = new GraphBuilder(phase);
        Map<Integer, Value> mapped = new HashMap<>();
        for (Value input : inputs) {
            mapped.put(input.id(), builder.input(input.name(), input.spec()));
        }
        for (Node node : nodes) {
            List<Value> now = node.inputs().stream()
                    .map(value -> mapped.computeIfAbsent(value.id(), id -> builder.weight(refOf(value))))
                    .toList();
            List<Value> made = transform.apply(node, now, builder);
            for (int i = 0; i < node.outputs().size(); i++) {
                mapped.put(node.outputs().get(i).id(), made.get(i));
            }
        }
        Graph changed = builder.build(
                outputs.stream().map(value -> require(mapped, value)).toList());
        return changed.sameAs(this) ? this : changed;
    }

    /** The graph with the op of each node replaced; inputs and outputs stay. */
    public Graph mapOps(Function<Node, Op> change) {
        return transform((node, now, builder) -> builder.add(change.apply(node), node.site(), now));
    }

    /** This graph with other values to look at; values that are no longer needed for them are no longer computed. */
    public Graph withOutputs(List<Value> values) {
        return GraphBuilder.prune(phase, inputs, nodes, values);
    }

    /**
     * The nodes of layer {@code layer} as a graph of their own.
     *
     * @throws IllegalArgumentException if there are none
     */
    public LayerGraph layer(int layer) {
        return LayerGraph.of(this, layer);
    }

    /** The nodes that stand at {@code role}, in execution order. */
    public List<Node> at(Role role) {
        return nodes.stream().filter(node -> node.site().role() == role).toList();
    }

    /** The input named {@code name}. */
    public Value input(String name) {
        return inputs.stream()
                .filter(value -> value.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("the graph has no input '" + name + "'"));
    }

    /** All weights that the nodes read, in order of first use. */
    public Set<WeightRef> weights() {
        Set<WeightRef> refs = new LinkedHashSet<>();
        for (Node node : nodes) {
            for (Value value : node.inputs()) {
                if (value.origin() instanceof Value.Origin.Weight weight) {
                    refs.add(weight.ref());
                }
            }
        }
        return refs;
    }

    /** The graph as text, a node a line. */
    public String describe() {
        StringBuilder text = new StringBuilder(phase + "\n");
        for (Node node : nodes) {
            text.append("  ").append(node).append(' ');
            Stream.concat(node.inputs().stream().map(v -> "%" + v.id()), Stream.of("->"))
                    .forEach(part -> text.append(' ').append(part));
            node.outputs().forEach(value -> text.append(' ').append(value));
            text.append('\n');
        }
        return text.toString();
    }

    /** Whether both graphs do the same under renamed ids. */
    private boolean sameAs(Graph other) {
        if (nodes.size() != other.nodes.size() || inputs.size() != other.inputs.size()) {
            return false;
        }
        Map<Integer, Integer> ids = new HashMap<>();
        for (int i = 0; i < inputs.size(); i++) {
            ids.put(inputs.get(i).id(), other.inputs.get(i).id());
        }
        for (int i = 0; i < nodes.size(); i++) {
            Node mine = nodes.get(i);
            Node theirs = other.nodes.get(i);
            if (!mine.op().equals(theirs.op())
                    || !mine.site().equals(theirs.site())
                    || !sameValues(mine.inputs(), theirs.inputs(), ids)) {
                return false;
            }
            for (int j = 0; j < mine.outputs().size(); j++) {
                ids.put(mine.outputs().get(j).id(), theirs.outputs().get(j).id());
            }
        }
        return sameValues(outputs, other.outputs, ids);
    }

    private static boolean sameValues(List<Value> mine, List<Value> theirs, Map<Integer, Integer> ids) {
        if (mine.size() != theirs.size()) {
            return false;
        }
        List<Boolean> same = new ArrayList<>();
        for (int i = 0; i < mine.size(); i++) {
            same.add(
                    mine.get(i).origin() instanceof Value.Origin.Weight
                            ? mine.get(i).origin().equals(theirs.get(i).origin())
                            : Integer.valueOf(theirs.get(i).id())
                                    .equals(ids.get(mine.get(i).id())));
        }
        return !same.contains(false);
    }

    private static WeightRef refOf(Value value) {
        if (value.origin() instanceof Value.Origin.Weight weight) {
            return weight.ref();
        }
        throw new IllegalStateException(value + " is read before it is made");
    }

    static Value require(Map<Integer, Value> mapped, Value value) {
        Value found = mapped.get(value.id());
        if (found == null) {
            throw new IllegalStateException("no node makes " + value);
        }
        return found;
    }
}
