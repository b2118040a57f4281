package ai.winnow.ir;

import ai.winnow.ir.Primitive.Compare;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * Which inputs of a linear layer are kept. NaN is never dropped: the predicates are {@code !(|x| <= t)}.
 */
public sealed interface InputSelection {

    /** Shape {@code F32 [in]} of an operand that goes with the layer: thresholds or factors; whether there is one. */
    default boolean hasOperand() {
        return false;
    }

    /** Records the mask {@code BOOL [rows, in]} of what is kept; {@code operand} is there if {@link #hasOperand()}. */
    Value mask(GraphBuilder builder, Site site, Value x, List<Value> operand);

    /** Keeps {@code x} when {@code !(|x| <= threshold)}: at 0 all but exact zeros, whose products are zero anyway. */
    record Threshold(float threshold) implements InputSelection {
        public Threshold {
            float t = threshold;
            Inference.require(t >= 0, () -> "a threshold of magnitudes cannot be " + t);
        }

        @Override
        public Value mask(GraphBuilder builder, Site site, Value x, List<Value> operand) {
            return above(builder, site, x, RmsNorm.scalar(builder, site, threshold));
        }
    }

    /** Keeps {@code x_j} when {@code !(|x_j| <= t_j)}; the thresholds are the operand. */
    record ChannelThreshold() implements InputSelection {
        @Override
        public boolean hasOperand() {
            return true;
        }

        @Override
        public Value mask(GraphBuilder builder, Site site, Value x, List<Value> operand) {
            return above(builder, site, x, operand.getFirst());
        }
    }

    /** Keeps the {@code keep} greatest {@code |x_j|} of each row; ties to the lower index. */
    record TopK(int keep) implements InputSelection {
        @Override
        public Value mask(GraphBuilder builder, Site site, Value x, List<Value> operand) {
            Value score = builder.add(new Unary(Unary.Function.ABS), site, x);
            return builder.add(new Primitive.TopKMask(keep), site, score);
        }
    }

    /** Keeps the {@code keep} greatest {@code |x_j| * c_j} of each row; the factors are the operand. */
    record WeightedTopK(int keep) implements InputSelection {
        @Override
        public boolean hasOperand() {
            return true;
        }

        @Override
        public Value mask(GraphBuilder builder, Site site, Value x, List<Value> operand) {
            Value magnitude = builder.add(new Unary(Unary.Function.ABS), site, x);
            Value score = builder.add(
                    new Primitive.Binary(Primitive.Binary.Operator.MUL), site, magnitude, operand.getFirst());
            return builder.add(new Primitive.TopKMask(keep), site, score);
        }
    }

    private static Value above(GraphBuilder builder, Site site, Value x, Value threshold) {
        Value magnitude = builder.add(new Unary(Unary.Function.ABS), site, x);
        Value dropped = builder.add(new Compare(Compare.Relation.LESS_OR_EQUAL), site, magnitude, threshold);
        return builder.add(new Unary(Unary.Function.NOT), site, dropped);
    }

    /** {@code x} where {@code mask}, else 0. */
    static Value masked(GraphBuilder builder, Site site, Value x, Value mask) {
        Value zero = builder.add(new Primitive.Constant(0, TensorSpec.of(DType.F32, 1)), site, List.of())
                .getFirst();
        return builder.add(new Primitive.Select(), site, mask, x, zero);
    }
}
