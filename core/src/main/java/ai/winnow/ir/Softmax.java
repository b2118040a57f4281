package ai.winnow.ir;

import static ai.winnow.ir.RmsNorm.scalar;

import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Reduce;
import ai.winnow.ir.Primitive.Reduce.Reduction;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * {@code exp(x - max) / sum(exp(x - max))} of each row: {@code x F32 [rows, width] -> F32 [rows, width]}. A score of negative
 * infinity has the weight 0, and a row of nothing else has no weight to give: all its weights are 0. A row that holds NaN or
 * positive infinity becomes NaN.
 */
public record Softmax() implements Fused.Composite {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 1);
        TensorSpec input = inputs.getFirst();
        Inference.require(
                input.dtype() == DType.F32 && input.shape().rank() == 2,
                () -> name() + " takes F32 [rows, width], got " + input);
        return inputs;
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value x = inputs.getFirst();
        Value max = builder.add(new Reduce(Reduction.MAX, 1), site, x);
        // Finite, so that a row of negative infinities is not subtracted from itself.
        Value lowest = scalar(builder, site, -Float.MAX_VALUE);
        Value shift = builder.add(new Binary(Binary.Operator.MAX), site, max, lowest);
        Value shifted = builder.add(new Binary(Binary.Operator.SUB), site, x, shift);
        Value weights = builder.add(new Unary(Unary.Function.EXP), site, shifted);
        Value sum = builder.add(new Reduce(Reduction.SUM, 1), site, weights);
        // The greatest score counts 1, so a lesser sum is that of such a row: 0.
        Value total = builder.add(new Binary(Binary.Operator.MAX), site, sum, scalar(builder, site, 1));
        return List.of(builder.add(new Binary(Binary.Operator.DIV), site, weights, total));
    }
}
