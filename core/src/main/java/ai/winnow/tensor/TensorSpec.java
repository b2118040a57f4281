package ai.winnow.tensor;

/** What a tensor holds: element type and shape. Says nothing of where it lies. */
public record TensorSpec(DType dtype, Shape shape) {

    public static TensorSpec of(DType dtype, long... sizes) {
        return new TensorSpec(dtype, Shape.of(sizes));
    }

    public static TensorSpec rows(DType dtype, Dim rows, long... sizes) {
        return new TensorSpec(dtype, Shape.rows(rows, sizes));
    }

    /** The most bytes that the elements take when they lie side by side. */
    public long maxBytes() {
        return dtype.bytes(shape.maxElements());
    }

    public TensorSpec withDType(DType other) {
        return new TensorSpec(other, shape);
    }

    public TensorSpec withShape(Shape other) {
        return new TensorSpec(dtype, other);
    }

    @Override
    public String toString() {
        return dtype + " " + shape;
    }
}
