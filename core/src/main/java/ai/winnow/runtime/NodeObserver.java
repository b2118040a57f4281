package ai.winnow.runtime;

import ai.winnow.ir.Node;
import ai.winnow.tensor.Operands;

/** Sees each node right after it ran, while its inputs and outputs are still in memory: for calibration and measurements. */
@FunctionalInterface
public interface NodeObserver {

    /** Called after {@code node} ran; {@code operands} are valid during the call only. */
    void after(Node node, Operands operands);
}
