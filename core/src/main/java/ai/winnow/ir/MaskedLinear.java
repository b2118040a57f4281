package ai.winnow.ir;

import ai.winnow.ir.Primitive.Compare;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;

/**
 * A linear layer of which only some outputs are computed: {@code x F32 [rows, in], weight [out, in], mask F32 [rows, out], bias
 * F32 [out] if any -> F32 [rows, out]}. Where the mask is zero the output is zero and the weight's row is not read; NaN in the
 * mask counts as set.
 */
public record MaskedLinear(boolean bias) implements Fused.Composite {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, bias ? 4 : 3);
        TensorSpec result = Inference.linear(this, inputs.get(0), inputs.get(1));
        Inference.require(
                inputs.get(2).equals(result), () -> name() + ": the mask must be " + result + ", got " + inputs.get(2));
        if (bias) {
            Linear.requireBias(this, inputs.get(3), result);
        }
        return List.of(result);
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        List<Value> operands = new ArrayList<>(inputs);
        Value mask = operands.remove(2);
        Value all = builder.add(new Linear(bias), site, operands).getFirst();
        Value zero = builder.add(new Primitive.Constant(0, TensorSpec.of(DType.F32, 1)), site, List.of())
                .getFirst();
        Value kept = builder.add(new Compare(Compare.Relation.NOT_EQUAL), site, mask, zero);
        return List.of(builder.add(new Primitive.Select(), site, kept, all, zero));
    }
}
