package ai.winnow.ir;

import ai.winnow.tensor.TensorSpec;

/** A tensor that flows through a graph. The id is unique within its graph. */
public record Value(int id, String name, TensorSpec spec, Origin origin) {

    /** Where a value comes from. */
    public sealed interface Origin {
        /** Given with every step by whoever runs the graph. */
        record Input() implements Origin {}

        /** A weight: the same for all steps. */
        record Weight(WeightRef ref) implements Origin {}

        /** Made by a node of the graph. */
        record Computed() implements Origin {}
    }

    static final Origin INPUT = new Origin.Input();
    static final Origin COMPUTED = new Origin.Computed();

    public boolean isComputed() {
        return origin instanceof Origin.Computed;
    }

    public boolean isInput() {
        return origin instanceof Origin.Input;
    }

    @Override
    public String toString() {
        return "%" + id + " " + name + ": " + spec;
    }
}
