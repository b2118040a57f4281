package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.TensorSpec;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Proves that a graph is well-formed: run after every rewrite, so that a wrong rewrite is named and not its consequences. */
public final class GraphCheck {

    private GraphCheck() {}

    /**
     * Checks that each value is made once and before it is read, and that every node's outputs are what its op infers.
     *
     * @param after what was done last, for the message
     * @throws ShapeException naming {@code after} and the node
     */
    public static void check(Graph graph, String after) {
        Set<Integer> made = new HashSet<>();
        graph.inputs().forEach(value -> makeOnce(made, value, after));
        for (Node node : graph.nodes()) {
            for (Value value : node.inputs()) {
                if (!made.contains(value.id()) && !(value.origin() instanceof Value.Origin.Weight)) {
                    throw new ShapeException("after " + after + ": " + node + " reads " + value + " before it is made");
                }
            }
            List<TensorSpec> inferred;
            try {
                inferred =
                        node.op().infer(node.inputs().stream().map(Value::spec).toList());
            } catch (ShapeException e) {
                throw new ShapeException("after " + after + ": " + node.site() + ": " + e.getMessage(), e);
            }
            List<TensorSpec> found = node.outputs().stream().map(Value::spec).toList();
            if (!inferred.equals(found)) {
                throw new ShapeException(
                        "after " + after + ": " + node + " makes " + inferred + ", recorded as " + found);
            }
            node.outputs().forEach(value -> makeOnce(made, value, after));
        }
        for (Value value : graph.outputs()) {
            if (!made.contains(value.id())) {
                throw new ShapeException("after " + after + ": no node makes the output " + value);
            }
        }
    }

    private static void makeOnce(Set<Integer> made, Value value, String after) {
        if (!made.add(value.id())) {
            throw new ShapeException("after " + after + ": " + value + " is made twice");
        }
    }
}
