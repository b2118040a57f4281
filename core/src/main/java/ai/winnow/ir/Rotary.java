package ai.winnow.ir;

import ai.winnow.ir.Primitive.Binary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;

/**
 * Rotary position embedding (Su et al. 2021): {@code x F32 [rows, heads * headDim], cos and sin F32 [positions, rotaryDim / 2],
 * positions I32 [rows] -> F32 [rows, heads * headDim]}. Pair {@code i} of a head, {@code (a, b)}, becomes
 * {@code (a cos - b sin, b cos + a sin)}.
 *
 * @param headDim elements of a head
 * @param rotaryDim leading elements of a head that are rotated; the rest stays
 * @param pairing which elements make a pair
 */
public record Rotary(int headDim, int rotaryDim, Pairing pairing) implements Fused.Composite {

    /** Which elements of a head are rotated together. */
    public enum Pairing {
        /** {@code i} and {@code i + rotaryDim / 2}, as Hugging Face checkpoints are stored. */
        HALF_SPLIT,
        /** {@code 2 i} and {@code 2 i + 1}, as in the paper and Meta's checkpoints. */
        INTERLEAVED
    }

    public Rotary {
        int heads = headDim;
        int rotated = rotaryDim;
        Inference.require(
                rotated > 0 && rotated % 2 == 0 && rotated <= heads,
                () -> "cannot rotate " + rotated + " of " + heads + " elements of a head");
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 4);
        TensorSpec input = inputs.get(0);
        Inference.require(
                input.dtype() == DType.F32
                        && input.shape().rank() == 2
                        && input.shape().max(1) % headDim == 0
                        && inputs.get(1).shape().rank() == 2
                        && inputs.get(1).shape().max(1) == rotaryDim / 2
                        && inputs.get(1).dtype() == DType.F32
                        && inputs.get(1).equals(inputs.get(2))
                        && inputs.get(3).dtype() == DType.I32,
                () -> name() + " cannot take " + inputs);
        return List.of(input);
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value input = inputs.get(0);
        Shape shape = input.spec().shape();
        long heads = shape.max(1) / headDim;
        long half = rotaryDim / 2;
        boolean split = pairing == Pairing.HALF_SPLIT;
        Value x = builder.add(new Primitive.Reshape(Shape.rows(shape.rowDim(), heads, headDim)), site, input);
        Value rotated = builder.add(new Primitive.Slice(2, 0, rotaryDim), site, x);
        Shape pairs = split ? Shape.rows(shape.rowDim(), heads, 2, half) : Shape.rows(shape.rowDim(), heads, half, 2);
        int axis = split ? 2 : 3;
        Value paired = builder.add(new Primitive.Reshape(pairs), site, rotated);
        Shape flat = Shape.rows(shape.rowDim(), heads, half);
        Value a = half(builder, site, paired, axis, 0, flat);
        Value b = half(builder, site, paired, axis, 1, flat);
        Value cos = angles(builder, site, inputs.get(1), inputs.get(3), shape, half);
        Value sin = angles(builder, site, inputs.get(2), inputs.get(3), shape, half);
        Value first = combine(builder, site, a, cos, b, sin, Binary.Operator.SUB);
        Value second = combine(builder, site, b, cos, a, sin, Binary.Operator.ADD);
        Shape one = split ? Shape.rows(shape.rowDim(), heads, 1, half) : Shape.rows(shape.rowDim(), heads, half, 1);
        Value joined = builder.add(
                new Primitive.Concat(axis),
                site,
                builder.add(new Primitive.Reshape(one), site, first),
                builder.add(new Primitive.Reshape(one), site, second));
        List<Value> parts = new ArrayList<>();
        parts.add(builder.add(new Primitive.Reshape(Shape.rows(shape.rowDim(), heads, rotaryDim)), site, joined));
        if (rotaryDim < headDim) {
            parts.add(builder.add(new Primitive.Slice(2, rotaryDim, headDim), site, x));
        }
        Value whole = builder.add(new Primitive.Concat(2), site, parts).getFirst();
        return List.of(builder.add(new Primitive.Reshape(shape), site, whole));
    }

    private static Value half(GraphBuilder builder, Site site, Value paired, int axis, int index, Shape flat) {
        Value slice = builder.add(new Primitive.Slice(axis, index, index + 1), site, paired);
        return builder.add(new Primitive.Reshape(flat), site, slice);
    }

    private static Value angles(GraphBuilder builder, Site site, Value table, Value positions, Shape shape, long half) {
        Value rows = builder.add(new Primitive.Gather(), site, table, positions);
        return builder.add(new Primitive.Reshape(Shape.rows(shape.rowDim(), 1, half)), site, rows);
    }

    private static Value combine(
            GraphBuilder builder, Site site, Value a, Value cos, Value b, Value sin, Binary.Operator kind) {
        Value left = builder.add(new Binary(Binary.Operator.MUL), site, a, cos);
        Value right = builder.add(new Binary(Binary.Operator.MUL), site, b, sin);
        return builder.add(new Binary(kind), site, left, right);
    }
}
