package ai.winnow.ir;

import ai.winnow.tensor.Operands;
import java.util.List;

/**
 * An op that backends may run in one piece. Open: a method that needs an op no one offers defines it in its own folder and has
 * it correct on every backend at once.
 */
public sealed interface Fused extends Op {

    /** A fused op whose meaning is a graph of primitives (or of simpler fused ops). */
    non-sealed interface Composite extends Fused {
        /** Records the same computation with simpler ops and returns its results, one for each output. */
        List<Value> decompose(GraphBuilder builder, List<Value> inputs);
    }

    /**
     * A fused op with data-dependent loops, whose meaning is plain Java. This is also what runs where a backend has no kernel
     * for it.
     */
    non-sealed interface Defined extends Fused {
        /** Computes the outputs in host memory. Inputs and outputs are row-major. */
        void evaluate(Operands operands);
    }
}
