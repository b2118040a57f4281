package ai.winnow.reference;

import ai.winnow.tensor.Operands;

/** What a reference kernel does. */
@FunctionalInterface
interface Computation {
    void run(Operands operands);
}
