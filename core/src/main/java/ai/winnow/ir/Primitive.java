package ai.winnow.ir;

import static ai.winnow.ir.Inference.broadcast;
import static ai.winnow.ir.Inference.require;
import static ai.winnow.ir.Inference.requireInputs;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;

/**
 * The closed set of ops with a meaning of their own. Every backend can rely on the reference implementation of each; elementwise
 * ops broadcast as numpy does. Only the first axis of a value may vary (see {@link Dim.AtMost}).
 */
public sealed interface Primitive extends Op {

    /** One value to one value of the same shape; computes in f32. */
    record Unary(Function function) implements Primitive {
        public enum Function {
            NEG,
            ABS,
            EXP,
            LOG,
            SQRT,
            RSQRT,
            SIGMOID,
            TANH,
            ERF,
            SIN,
            COS,
            RELU,
            NOT
        }

        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            boolean bool = inputs.getFirst().dtype() == DType.BOOL;
            require(bool == (function == Function.NOT), () -> this + " cannot take " + inputs.getFirst());
            return List.of(inputs.getFirst());
        }
    }

    /** Two values to one; the result has the type of the first. */
    record Binary(Operator operator) implements Primitive {
        public enum Operator {
            ADD,
            SUB,
            MUL,
            DIV,
            MAX,
            MIN,
            AND,
            OR
        }

        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 2);
            require(
                    inputs.get(0).dtype() == inputs.get(1).dtype(),
                    () -> this + " cannot mix " + inputs.get(0) + " and " + inputs.get(1));
            return List.of(new TensorSpec(
                    inputs.get(0).dtype(),
                    broadcast(inputs.get(0).shape(), inputs.get(1).shape())));
        }
    }

    /** Two values to a BOOL. Comparisons with NaN are false, but for NOT_EQUAL. */
    record Compare(Relation relation) implements Primitive {
        public enum Relation {
            EQUAL,
            NOT_EQUAL,
            LESS,
            LESS_OR_EQUAL
        }

        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 2);
            return List.of(new TensorSpec(
                    DType.BOOL, broadcast(inputs.get(0).shape(), inputs.get(1).shape())));
        }
    }

    /** {@code condition ? a : b} for each element. */
    record Select() implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 3);
            require(inputs.getFirst().dtype() == DType.BOOL, () -> this + " needs a BOOL condition");
            Shape shape = broadcast(inputs.get(1).shape(), inputs.get(2).shape());
            return List.of(new TensorSpec(
                    inputs.get(1).dtype(), broadcast(inputs.getFirst().shape(), shape)));
        }
    }

    /** Reduces one axis to size 1. Sums run in ascending order, in f64. */
    record Reduce(Reduction reduction, int axis) implements Primitive {
        public enum Reduction {
            SUM,
            MAX,
            MIN
        }

        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            return List.of(inputs.getFirst()
                    .withShape(Inference.replace(inputs.getFirst().shape(), axis, 1)));
        }
    }

    /** Index of the greatest element of the last axis as I32, that axis dropped to 1; ties to the lower index, NaN is greatest. */
    record ArgMax() implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            return List.of(new TensorSpec(DType.I32, inputs.getFirst().shape().withLast(1)));
        }
    }

    /** {@code [rows, in] x [out, in] -> [rows, out]}: a linear layer's product. Any readable types; the result is f32. */
    record MatMul() implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 2);
            return List.of(Inference.linear(this, inputs.get(0), inputs.get(1)));
        }
    }

    /** The same elements in another shape. If the first axis varies it stays as it is. */
    record Reshape(Shape shape) implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            Shape from = inputs.getFirst().shape();
            require(
                    from.maxElements() == shape.maxElements()
                            && (from.rowDim().equals(shape.rowDim())
                                    || (from.rowDim() instanceof Dim.Fixed && shape.rowDim() instanceof Dim.Fixed)),
                    () -> "cannot reshape " + from + " to " + shape);
            return List.of(inputs.getFirst().withShape(shape));
        }
    }

    /** Reorders the axes: axis {@code i} of the result is axis {@code axes[i]} of the input. A varying axis stays first. */
    record Transpose(List<Integer> axes) implements Primitive {
        public Transpose {
            axes = List.copyOf(axes);
        }

        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            Shape from = inputs.getFirst().shape();
            require(
                    axes.stream().sorted().toList().equals(Inference.range(from.rank())),
                    () -> this + " is not a permutation of the axes of " + from);
            return List.of(inputs.getFirst()
                    .withShape(new Shape(axes.stream().map(from::dim).toList())));
        }
    }

    /** Elements {@code from} to {@code to} (exclusive) of one axis that does not vary. */
    record Slice(int axis, long from, long to) implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            Shape shape = inputs.getFirst().shape();
            require(
                    shape.dim(axis) instanceof Dim.Fixed && 0 <= from && from <= to && to <= shape.max(axis),
                    () -> this + " does not lie within " + shape);
            return List.of(inputs.getFirst().withShape(Inference.replace(shape, axis, to - from)));
        }
    }

    /** Joins values along one axis that does not vary. */
    record Concat(int axis) implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            require(!inputs.isEmpty(), () -> this + " needs an input");
            Shape first = inputs.getFirst().shape();
            long size = 0;
            for (TensorSpec input : inputs) {
                require(
                        input.dtype() == inputs.getFirst().dtype()
                                && input.shape().dim(axis) instanceof Dim.Fixed
                                && Inference.replace(input.shape(), axis, 1).equals(Inference.replace(first, axis, 1)),
                        () -> this + " cannot join " + inputs);
                size += input.shape().max(axis);
            }
            return List.of(inputs.getFirst().withShape(Inference.replace(first, axis, size)));
        }
    }

    /** Rows of a table {@code [n, ...]} named by I32 indices {@code [rows]}. */
    record Gather() implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 2);
            TensorSpec table = inputs.get(0);
            TensorSpec indices = inputs.get(1);
            require(
                    indices.dtype() == DType.I32 && indices.shape().rank() == 1,
                    () -> this + " needs I32 [rows] as indices, got " + indices);
            List<Dim> dims = new ArrayList<>(table.shape().dims());
            dims.set(0, indices.shape().rowDim());
            return List.of(table.withShape(new Shape(dims)));
        }
    }

    /** {@code base [n, ...]} with each row of updates added to the row that its I32 index names, in ascending order. */
    record ScatterAdd() implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 3);
            require(inputs.get(1).dtype() == DType.I32, () -> this + " needs I32 indices, got " + inputs.get(1));
            require(
                    inputs.get(1).shape().rank() == 1
                            && inputs.get(1)
                                    .shape()
                                    .rowDim()
                                    .equals(inputs.get(2).shape().rowDim()),
                    () -> this + " needs one index for each row of updates, got " + inputs.get(1) + " for "
                            + inputs.get(2));
            require(
                    inputs.get(0).shape().rowElements() == inputs.get(2).shape().rowElements(),
                    () -> this + " cannot add rows of " + inputs.get(2) + " to " + inputs.get(0));
            return List.of(inputs.getFirst());
        }
    }

    /**
     * {@code base [n, ...]} with each row of updates {@code [rows, ...]} in place of the row that its I32 index names; of several for
     * one row the last stays. What was in a replaced row, NaN too, is gone.
     */
    record Scatter() implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 3);
            require(inputs.get(1).dtype() == DType.I32, () -> this + " needs I32 indices, got " + inputs.get(1));
            require(
                    inputs.get(1).shape().rank() == 1
                            && inputs.get(1)
                                    .shape()
                                    .rowDim()
                                    .equals(inputs.get(2).shape().rowDim()),
                    () -> this + " needs one index for each row of updates, got " + inputs.get(1) + " for "
                            + inputs.get(2));
            require(
                    inputs.get(0).dtype() == inputs.get(2).dtype()
                            && inputs.get(0).shape().rowElements()
                                    == inputs.get(2).shape().rowElements(),
                    () -> this + " cannot put rows of " + inputs.get(2) + " into " + inputs.get(0));
            return List.of(inputs.getFirst());
        }
    }

    /** The same numbers in another type: floats rounded to nearest even, integers truncated, BOOL whether it is not 0. */
    record Cast(DType dtype) implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            return List.of(inputs.getFirst().withDType(dtype));
        }
    }

    /** The same number everywhere. */
    record Constant(float value, TensorSpec spec) implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 0);
            return List.of(spec);
        }
    }

    /** I32 {@code 0, 1, 2, ...}. */
    record Iota(long size) implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 0);
            return List.of(TensorSpec.of(DType.I32, size));
        }
    }

    /** Running sums along the last axis, in ascending order. */
    record CumulativeSum() implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            return List.of(inputs.getFirst());
        }
    }

    /**
     * True at the {@code keep} greatest elements of each row {@code [rows, n]}: exactly {@code min(keep, n)} of them. Ties go to
     * the lower index; NaN counts as greatest, so that it is never dropped.
     */
    record TopKMask(int keep) implements Primitive {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            requireInputs(this, inputs, 1);
            require(keep >= 0, () -> this + " cannot keep fewer than 0");
            return List.of(inputs.getFirst().withDType(DType.BOOL));
        }
    }
}
