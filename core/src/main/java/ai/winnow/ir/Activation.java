package ai.winnow.ir;

import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/** The nonlinearity of a feed-forward layer, elementwise. */
public record Activation(Kind kind) implements Fused.Composite {

    /** Which function. */
    public enum Kind {
        /** {@code x * sigmoid(x)}. */
        SILU,
        /** {@code x/2 * (1 + erf(x / sqrt 2))} (Hendrycks and Gimpel 2016). */
        GELU,
        /** The tanh approximation of GELU, same paper. */
        GELU_TANH,
        /** {@code max(x, 0)}. */
        RELU
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 1);
        Inference.requireType(this, inputs, 0, DType.F32);
        return inputs;
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.ACTIVATION);
        Value x = inputs.getFirst();
        return List.of(
                switch (kind) {
                    case SILU -> mul(builder, site, x, builder.add(new Unary(Unary.Function.SIGMOID), site, x));
                    case RELU -> builder.add(new Unary(Unary.Function.RELU), site, x);
                    case GELU -> {
                        Value scaled = mul(builder, site, x, RmsNorm.scalar(builder, site, (float) Math.sqrt(0.5)));
                        yield halfOnePlus(builder, site, x, builder.add(new Unary(Unary.Function.ERF), site, scaled));
                    }
                    case GELU_TANH -> {
                        Value cube = mul(builder, site, mul(builder, site, x, x), x);
                        Value scaled = mul(builder, site, cube, RmsNorm.scalar(builder, site, 0.044715f));
                        Value sum = builder.add(new Binary(Binary.Operator.ADD), site, x, scaled);
                        Value inner =
                                mul(builder, site, sum, RmsNorm.scalar(builder, site, (float) Math.sqrt(2 / Math.PI)));
                        yield halfOnePlus(builder, site, x, builder.add(new Unary(Unary.Function.TANH), site, inner));
                    }
                });
    }

    private static Value halfOnePlus(GraphBuilder builder, Site site, Value x, Value f) {
        Value sum = builder.add(new Binary(Binary.Operator.ADD), site, f, RmsNorm.scalar(builder, site, 1));
        return mul(builder, site, mul(builder, site, x, RmsNorm.scalar(builder, site, 0.5f)), sum);
    }

    private static Value mul(GraphBuilder builder, Site site, Value a, Value b) {
        return builder.add(new Binary(Binary.Operator.MUL), site, a, b);
    }
}
