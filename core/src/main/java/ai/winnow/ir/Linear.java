package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * A linear layer: {@code x F32 [rows, in], weight [out, in], bias F32 [out] if any -> F32 [rows, out]}.
 *
 * @param bias whether there is a bias
 */
public record Linear(boolean bias) implements Fused.Composite {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, bias ? 3 : 2);
        TensorSpec result = Inference.linear(this, inputs.get(0), inputs.get(1));
        if (bias) {
            requireBias(this, inputs.get(2), result);
        }
        return List.of(result);
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value product = builder.add(new Primitive.MatMul(), site, inputs.get(0), inputs.get(1));
        return List.of(
                bias
                        ? builder.add(new Primitive.Binary(Primitive.Binary.Operator.ADD), site, product, inputs.get(2))
                        : product);
    }

    static void requireBias(Op op, TensorSpec bias, TensorSpec result) {
        Inference.require(
                bias.equals(TensorSpec.of(DType.F32, result.shape().max(1))),
                () -> op.name() + ": bias must be F32 [" + result.shape().max(1) + "], got " + bias);
    }
}
