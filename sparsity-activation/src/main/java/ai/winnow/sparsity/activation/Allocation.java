package ai.winnow.sparsity.activation;

/** How a model's sparsity is divided among its linear layers. */
public enum Allocation {
    /** All the same. */
    UNIFORM,
    /** Within each layer of the model as the greedy search of TEAL (section 4.3) found best; the layers all the same. */
    GREEDY
}
