package ai.winnow.ir;

import ai.winnow.tensor.Tensor;
import java.util.List;

/**
 * How a weight that no file holds is computed, once, at load: rotary tables, column norms. Two derivations that are equal give
 * equal weights (implement as a record), so that they are computed once for all graphs.
 */
public interface Derivation {

    /** The weights this one is computed from; given to {@link #compute} row-major, in their own types. */
    List<WeightRef> sources();

    /** Fills {@code result}, which is row-major and zeroed. */
    void compute(List<Tensor> sources, Tensor result);
}
