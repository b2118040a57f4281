package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Records a graph. Model code calls it as if it computed; shapes are checked as it goes. */
public final class GraphBuilder {

    private final Phase phase;
    private final List<Value> inputs = new ArrayList<>();
    private final List<Node> nodes = new ArrayList<>();
    private final Map<WeightRef, Value> weights = new HashMap<>();
    private int nextId;
    private @Nullable Site scope;

    public GraphBuilder(Phase phase) {
        this.phase = phase;
    }

    public Phase phase() {
        return phase;
    }

    /** Declares a value that is given with every step. */
    public Value input(String name, TensorSpec spec) {
        Value value = new Value(nextId++, name, spec, Value.INPUT);
        inputs.add(value);
        return value;
    }

    /**
     * The input of this name, declared where nobody has yet.
     *
     * @throws ShapeException if it was declared as something else
     */
    public Value sharedInput(String name, TensorSpec spec) {
        for (Value declared : inputs) {
            if (declared.name().equals(name)) {
                if (!declared.spec().equals(spec)) {
                    throw new ShapeException("input " + name + " is " + declared.spec() + " already, not " + spec);
                }
                return declared;
            }
        }
        return input(name, spec);
    }

    /** The value of a weight; the same value each time. */
    public Value weight(WeightRef ref) {
        return weights.computeIfAbsent(ref, r -> new Value(nextId++, r.name(), r.spec(), new Value.Origin.Weight(r)));
    }

    /**
     * Records a node.
     *
     * @throws ShapeException naming the site, if the inputs do not fit the op
     */
    public List<Value> add(Op op, Site asked, List<Value> operands) {
        Site site = scope == null ? asked : scope;
        List<TensorSpec> specs;
        try {
            specs = op.infer(operands.stream().map(Value::spec).toList());
        } catch (ShapeException e) {
            throw new ShapeException(site + ": " + e.getMessage(), e);
        }
        List<Value> made = new ArrayList<>(specs.size());
        for (int i = 0; i < specs.size(); i++) {
            made.add(new Value(nextId++, op.outputName(i, site), specs.get(i), Value.COMPUTED));
        }
        nodes.add(new Node(op, site, operands, made));
        return made;
    }

    /** Records a node with one output. */
    public Value add(Op op, Site site, Value... operands) {
        return add(op, site, List.of(operands)).getFirst();
    }

    /** Records the decomposition of {@code op} for real inputs; all of its nodes stand at {@code site}. */
    public List<Value> decompose(Fused.Composite op, Site site, List<Value> operands) {
        Site outer = scope;
        scope = site;
        try {
            return op.decompose(this, operands);
        } finally {
            scope = outer;
        }
    }

    /** The graph of everything that {@code outputs} and the state need. */
    public Graph build(List<Value> outputs) {
        return prune(phase, inputs, nodes, outputs);
    }

    static Graph prune(Phase phase, List<Value> inputs, List<Node> nodes, List<Value> outputs) {
        Set<Integer> needed = new HashSet<>();
        outputs.forEach(value -> needed.add(value.id()));
        List<Node> kept = new ArrayList<>();
        for (Node node : nodes.reversed()) {
            if (node.op().writesState() || node.outputs().stream().anyMatch(v -> needed.contains(v.id()))) {
                kept.add(node);
                node.inputs().forEach(value -> needed.add(value.id()));
            }
        }
        return new Graph(phase, inputs, kept.reversed(), outputs);
    }
}
