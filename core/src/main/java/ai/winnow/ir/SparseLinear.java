package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;

/**
 * A linear layer that reads the weights of the selected inputs only: {@code x F32 [rows, in], weight [out, in], the selection's
 * operand F32 [in] if it has one, bias F32 [out] if any -> F32 [rows, out]}. Each row selects for itself.
 */
public record SparseLinear(InputSelection selection, boolean bias) implements Fused.Composite {

    @Override
    public String name() {
        return "SparseLinear[" + selection + "]";
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 2 + (selection.hasOperand() ? 1 : 0) + (bias ? 1 : 0));
        TensorSpec result = Inference.linear(this, inputs.get(0), inputs.get(1));
        if (selection.hasOperand()) {
            long width = inputs.get(0).shape().max(1);
            Inference.require(
                    inputs.get(2).equals(TensorSpec.of(DType.F32, width)),
                    () -> name() + ": the selection's operand must be F32 [" + width + "], got " + inputs.get(2));
        }
        if (bias) {
            Linear.requireBias(this, inputs.getLast(), result);
        }
        return List.of(result);
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value x = inputs.get(0);
        List<Value> operand = selection.hasOperand() ? List.of(inputs.get(2)) : List.of();
        List<Value> operands = new ArrayList<>();
        operands.add(InputSelection.masked(builder, site, x, selection.mask(builder, site, x, operand)));
        operands.add(inputs.get(1));
        if (bias) {
            operands.add(inputs.getLast());
        }
        return builder.add(new Linear(bias), site, operands);
    }
}
