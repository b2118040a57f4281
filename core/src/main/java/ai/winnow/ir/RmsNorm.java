package ai.winnow.ir;

import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;

/**
 * Root mean square normalisation (Zhang and Sennrich 2019) of groups of {@code width} elements:
 * {@code x F32 [rows, groups * width], weight F32 [width] -> F32 [rows, groups * width]},
 * {@code y = x / sqrt(sum(x^2) / divisor + epsilon) * weight}. With one group a row it is the norm of a layer; with a group a
 * head it is the norm of queries and keys.
 *
 * @param width elements normalised together
 * @param epsilon added under the root
 * @param divisor what the sum of squares is divided by: the width, or the original width of a sliced model
 */
public record RmsNorm(int width, float epsilon, int divisor) implements Fused.Composite {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 2);
        TensorSpec input = inputs.getFirst();
        Inference.require(
                input.dtype() == DType.F32
                        && input.shape().rank() == 2
                        && input.shape().max(1) % width == 0
                        && inputs.get(1).equals(TensorSpec.of(DType.F32, width)),
                () -> name() + " takes F32 [rows, k * " + width + "] and F32 [" + width + "], got " + inputs);
        return List.of(input);
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value input = inputs.get(0);
        Shape shape = input.spec().shape();
        long groups = shape.max(1) / width;
        Value x = builder.add(new Primitive.Reshape(Shape.rows(shape.rowDim(), groups, width)), site, input);
        Value squares = builder.add(new Binary(Binary.Operator.MUL), site, x, x);
        Value sum = builder.add(new Primitive.Reduce(Primitive.Reduce.Reduction.SUM, 2), site, squares);
        Value mean = builder.add(new Binary(Binary.Operator.MUL), site, sum, scalar(builder, site, 1f / divisor));
        Value shifted = builder.add(new Binary(Binary.Operator.ADD), site, mean, scalar(builder, site, epsilon));
        Value factor = builder.add(new Unary(Unary.Function.RSQRT), site, shifted);
        Value scaled = builder.add(new Binary(Binary.Operator.MUL), site, x, factor);
        Value weighted = builder.add(new Binary(Binary.Operator.MUL), site, scaled, inputs.get(1));
        return List.of(builder.add(new Primitive.Reshape(shape), site, weighted));
    }

    static Value scalar(GraphBuilder builder, Site site, float value) {
        return builder.add(new Primitive.Constant(value, TensorSpec.of(DType.F32, 1)), site, new ArrayList<>())
                .getFirst();
    }
}
