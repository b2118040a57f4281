package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** Rules of shape inference that ops share. Public so that ops outside this package can use them. */
public final class Inference {

    private Inference() {}

    /** @throws ShapeException with {@code message} unless {@code condition} */
    public static void require(boolean condition, Supplier<String> message) {
        if (!condition) {
            throw new ShapeException(message.get());
        }
    }

    public static void requireInputs(Op op, List<TensorSpec> inputs, int count) {
        require(
                inputs.size() == count,
                () -> op.name() + " takes " + count + " inputs, got " + inputs.size() + ": " + inputs);
    }

    /** Requires input {@code index} to be {@code f32 [rows, width]}. */
    public static void requireRows(Op op, List<TensorSpec> inputs, int index, long width) {
        TensorSpec spec = inputs.get(index);
        require(
                spec.dtype() == DType.F32
                        && spec.shape().rank() == 2
                        && spec.shape().max(1) == width,
                () -> op.name() + ": input " + index + " must be F32 [rows, " + width + "], got " + spec);
    }

    /** Requires input {@code index} to have elements of {@code dtype}. */
    public static void requireType(Op op, List<TensorSpec> inputs, int index, DType dtype) {
        require(
                inputs.get(index).dtype() == dtype,
                () -> op.name() + ": input " + index + " must be " + dtype + ", got " + inputs.get(index));
    }

    /**
     * Requires the inputs from {@code from} on to be {@code sequence, indptr, slots} and the operands of a cache of {@code shape}.
     */
    static void requireCache(Op op, List<TensorSpec> inputs, int from, KvShape shape) {
        for (int i = from; i < from + 3; i++) {
            requireType(op, inputs, i, DType.I32);
        }
        requirePool(op, inputs, from + 3, shape);
        requirePool(op, inputs, from + 4, shape);
        requireTables(op, inputs, from + 5, shape);
    }

    /**
     * Requires the inputs from {@code from} on to be {@code sequence, indptr, slots}, the pool of {@code plane}, and the table and lengths of a
     * cache of {@code shape}.
     */
    public static void requirePlane(Op op, List<TensorSpec> inputs, int from, KvShape shape, KvPlane plane) {
        for (int i = from; i < from + 3; i++) {
            requireType(op, inputs, i, DType.I32);
        }
        TensorSpec wanted = plane.spec();
        TensorSpec found = inputs.get(from + 3);
        require(
                found.dtype() == wanted.dtype()
                        && found.shape().rank() == 3
                        && found.shape().max(1) == wanted.shape().max(1)
                        && found.shape().max(2) == wanted.shape().max(2),
                () -> op.name() + ": input " + (from + 3) + " must be the plane " + plane + ", " + wanted + ", got "
                        + found);
        requireTables(op, inputs, from + 4, shape);
    }

    /** Requires input {@code index} to be a pool of keys, or of values. */
    public static void requirePool(Op op, List<TensorSpec> inputs, int index, KvShape shape) {
        TensorSpec pool = inputs.get(index);
        require(
                pool.dtype() == shape.dtype()
                        && pool.shape().rank() == 3
                        && pool.shape().max(1) == KvShape.PAGE_ROWS
                        && pool.shape().max(2) == shape.rowElements(),
                () -> op.name() + ": input " + index + " must be " + shape.dtype() + " [pages, " + KvShape.PAGE_ROWS
                        + ", " + shape.rowElements() + "], got " + pool);
    }

    /** Requires the inputs from {@code from} on to be the table and the lengths of a cache. */
    public static void requireTables(Op op, List<TensorSpec> inputs, int from, KvShape shape) {
        TensorSpec lengths = TensorSpec.of(DType.I32, shape.slots(), shape.layers(), shape.heads());
        require(
                inputs.get(from + 1).equals(lengths),
                () -> op.name() + ": the lengths must be " + lengths + ", got " + inputs.get(from + 1));
        TensorSpec table = TensorSpec.of(DType.I32, shape.slots(), shape.layers(), shape.heads(), shape.pagesPerHead());
        require(
                inputs.get(from).equals(table),
                () -> op.name() + ": the page table must be " + table + ", got " + inputs.get(from));
    }

    /** {@code [rows, in] x [out, in] -> F32 [rows, out]}. */
    public static TensorSpec linear(Op op, TensorSpec input, TensorSpec weight) {
        require(
                input.shape().rank() == 2
                        && weight.shape().rank() == 2
                        && input.shape().max(1) == weight.shape().max(1),
                () -> op.name() + ": weight " + weight + " cannot take input " + input);
        return TensorSpec.rows(DType.F32, input.shape().rowDim(), weight.shape().max(0));
    }

    /** The shape that numpy's rule gives; a varying axis only meets itself or 1. */
    public static Shape broadcast(Shape a, Shape b) {
        int rank = Math.max(a.rank(), b.rank());
        List<Dim> dims = new ArrayList<>(rank);
        for (int axis = 0; axis < rank; axis++) {
            Dim x = axis < rank - a.rank() ? Dim.of(1) : a.dim(axis - rank + a.rank());
            Dim y = axis < rank - b.rank() ? Dim.of(1) : b.dim(axis - rank + b.rank());
            if (x.equals(y) || isOne(y)) {
                dims.add(x);
            } else if (isOne(x)) {
                dims.add(y);
            } else {
                throw new ShapeException("cannot broadcast " + a + " with " + b);
            }
        }
        return new Shape(dims);
    }

    /** {@code shape} with the size of one axis replaced. */
    public static Shape replace(Shape shape, int axis, long size) {
        require(0 <= axis && axis < shape.rank(), () -> shape + " has no axis " + axis);
        List<Dim> dims = new ArrayList<>(shape.dims());
        dims.set(axis, Dim.of(size));
        return new Shape(dims);
    }

    static List<Integer> range(int size) {
        return IntStream.range(0, size).boxed().toList();
    }

    private static boolean isOne(Dim dim) {
        return dim instanceof Dim.Fixed fixed && fixed.max() == 1;
    }
}
