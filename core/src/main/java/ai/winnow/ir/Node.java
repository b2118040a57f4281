package ai.winnow.ir;

import java.util.List;

/** One step of a graph. */
public record Node(Op op, Site site, List<Value> inputs, List<Value> outputs) {

    public Node {
        inputs = List.copyOf(inputs);
        outputs = List.copyOf(outputs);
    }

    public Value input(int index) {
        return inputs.get(index);
    }

    /** The first output. */
    public Value output() {
        return outputs.getFirst();
    }

    @Override
    public String toString() {
        return op.name() + " at " + site;
    }
}
