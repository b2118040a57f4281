package ai.winnow.benchmarks.compare;

import ai.winnow.io.TensorSource;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The weights of a graph that has none of its own. */
record NoWeights() implements TensorSource {

    @Override
    public Set<String> names() {
        return Set.of();
    }

    @Override
    public @Nullable TensorSpec spec(String name) {
        return null;
    }

    @Override
    public Tensor load(String name, Arena arena) {
        throw new IllegalArgumentException("there is no weight '" + name + "'");
    }

    @Override
    public String fingerprint() {
        return "none";
    }

    @Override
    public void close() {
        // There is nothing.
    }
}
