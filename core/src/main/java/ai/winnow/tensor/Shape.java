package ai.winnow.tensor;

import ai.winnow.ShapeException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** The axes of a tensor, outermost first. Only the first may be {@link Dim.AtMost}: rows are what comes and goes. */
public record Shape(List<Dim> dims) {

    public Shape {
        dims = List.copyOf(dims);
        for (int axis = 1; axis < dims.size(); axis++) {
            if (dims.get(axis) instanceof Dim.AtMost) {
                throw new ShapeException("only the first axis may vary, axis " + axis + " of " + dims + " does");
            }
        }
    }

    public static Shape of(long... sizes) {
        List<Dim> dims = new ArrayList<>(sizes.length);
        for (long size : sizes) {
            dims.add(Dim.of(size));
        }
        return new Shape(dims);
    }

    /** {@code [rows, sizes...]} with any kind of first axis. */
    public static Shape rows(Dim rows, long... sizes) {
        List<Dim> dims = new ArrayList<>(sizes.length + 1);
        dims.add(rows);
        for (long size : sizes) {
            dims.add(Dim.of(size));
        }
        return new Shape(dims);
    }

    public int rank() {
        return dims.size();
    }

    public Dim dim(int axis) {
        return dims.get(axis);
    }

    /** The most elements axis {@code axis} can have; a negative axis counts from the last. */
    public long max(int axis) {
        return dims.get(axis < 0 ? dims.size() + axis : axis).max();
    }

    /** The first axis; that of a scalar is one. */
    public Dim rowDim() {
        return dims.isEmpty() ? Dim.of(1) : dims.getFirst();
    }

    /** Elements in one row: the product of all axes but the first. */
    public long rowElements() {
        long product = 1;
        for (int axis = 1; axis < dims.size(); axis++) {
            product = multiply(product, dims.get(axis).max());
        }
        return product;
    }

    /** The most elements a tensor of this shape can have. */
    public long maxElements() {
        return multiply(rowDim().max(), rowElements());
    }

    /** This shape with the last axis replaced. */
    public Shape withLast(long size) {
        List<Dim> changed = new ArrayList<>(dims);
        changed.set(changed.size() - 1, Dim.of(size));
        return new Shape(changed);
    }

    private static long multiply(long a, long b) {
        try {
            return Math.multiplyExact(a, b);
        } catch (ArithmeticException e) {
            throw new ShapeException("a shape has more elements than a long can count", e);
        }
    }

    @Override
    public String toString() {
        return dims.stream().map(Dim::toString).collect(Collectors.joining(", ", "[", "]"));
    }
}
