package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/** Elementwise: {@code x} where {@code !(|x| <= threshold)}, else 0. NaN is kept. */
public record ThresholdSelect(float threshold) implements Fused.Composite {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 1);
        Inference.requireType(this, inputs, 0, DType.F32);
        return inputs;
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value x = inputs.getFirst();
        Value mask = new InputSelection.Threshold(threshold).mask(builder, site, x, List.of());
        return List.of(InputSelection.masked(builder, site, x, mask));
    }
}
