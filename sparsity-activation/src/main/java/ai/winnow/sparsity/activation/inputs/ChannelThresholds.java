package ai.winnow.sparsity.activation.inputs;

import ai.winnow.ir.Derivation;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.util.List;

/**
 * Thresholds of magnitudes that stand for one threshold of scores: {@code |x_j| c_j > t} where {@code |x_j| > t / c_j}. A channel
 * whose column is zero is never read: its threshold is the greatest float, since weights are finite, and still lets NaN pass.
 *
 * @param norms F32 {@code [in]}: the factors {@code c}
 */
record ChannelThresholds(WeightRef norms, float threshold) implements Derivation {

    static WeightRef of(WeightRef norms, float threshold) {
        return WeightRef.derived(
                "threshold " + threshold + " over " + norms.name(),
                norms.spec(),
                new ChannelThresholds(norms, threshold));
    }

    @Override
    public List<WeightRef> sources() {
        return List.of(norms);
    }

    @Override
    public void compute(List<Tensor> sources, Tensor result) {
        long channels = result.shape().maxElements();
        for (long j = 0; j < channels; j++) {
            float norm = sources.getFirst().getFloat(j);
            float tau = norm == 0 ? Float.MAX_VALUE : Math.min(threshold / norm, Float.MAX_VALUE);
            DType.F32.setFloat(result.segment(), j, tau);
        }
    }
}
