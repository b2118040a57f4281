package ai.winnow.ir;

import static ai.winnow.ir.RmsNorm.scalar;

import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * Layer normalisation (Ba, Kiros and Hinton 2016) of each row: {@code x F32 [rows, width], weight F32 [width], bias F32 [width]
 * -> F32 [rows, width]}, {@code y = (x - mean) / sqrt(variance + epsilon) * weight + bias} with the population's variance. A row
 * that holds NaN or an infinity becomes NaN.
 *
 * @param width elements of a row
 * @param epsilon added under the root
 */
public record LayerNorm(int width, float epsilon) implements Fused.Composite {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 3);
        Inference.requireRows(this, inputs, 0, width);
        TensorSpec row = TensorSpec.of(DType.F32, width);
        Inference.require(
                inputs.get(1).equals(row) && inputs.get(2).equals(row),
                () -> name() + " takes a weight and a bias " + row + ", got " + inputs);
        return List.of(inputs.getFirst());
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value x = inputs.get(0);
        Value centred = builder.add(new Binary(Binary.Operator.SUB), site, x, mean(builder, site, x, width));
        Value variance = variance(builder, site, centred, width);
        Value shifted = builder.add(new Binary(Binary.Operator.ADD), site, variance, scalar(builder, site, epsilon));
        Value factor = builder.add(new Unary(Unary.Function.RSQRT), site, shifted);
        Value scaled = builder.add(new Binary(Binary.Operator.MUL), site, centred, factor);
        Value weighted = builder.add(new Binary(Binary.Operator.MUL), site, scaled, inputs.get(1));
        return List.of(builder.add(new Binary(Binary.Operator.ADD), site, weighted, inputs.get(2)));
    }

    /** Of each row {@code [rows, width]}: {@code [rows, 1]}. */
    static Value mean(GraphBuilder builder, Site site, Value x, int width) {
        Value sum = builder.add(new Primitive.Reduce(Primitive.Reduce.Reduction.SUM, 1), site, x);
        return builder.add(new Binary(Binary.Operator.MUL), site, sum, scalar(builder, site, 1f / width));
    }

    /** Of rows whose mean was taken away. */
    static Value variance(GraphBuilder builder, Site site, Value centred, int width) {
        Value squares = builder.add(new Binary(Binary.Operator.MUL), site, centred, centred);
        return mean(builder, site, squares, width);
    }
}
