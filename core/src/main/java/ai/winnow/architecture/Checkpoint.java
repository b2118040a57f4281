package ai.winnow.architecture;

import ai.winnow.ShapeException;
import ai.winnow.UnsupportedModelException;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A checkpoint's tensors as a family asks for them: looked up, checked, and in the type they are kept in.
 *
 * @param specs what the checkpoint holds under a name, null when nothing
 * @param matrixType the type matrices are kept in, null for the checkpoint's own
 */
record Checkpoint(
        Function<String, @Nullable TensorSpec> specs,
        @Nullable DType matrixType) {

    private static final List<DType> MATRIX_TYPES = List.of(DType.F32, DType.BF16, DType.F16, DType.I8, DType.I4);

    Checkpoint {
        if (matrixType != null && !MATRIX_TYPES.contains(matrixType)) {
            throw new UnsupportedModelException(
                    "matrices can be kept as " + MATRIX_TYPES + " or in the checkpoint's type, not as " + matrixType);
        }
    }

    /** The matrix {@code [rows, columns]} under {@code name}. */
    WeightRef matrix(String name, int rows, int columns) {
        TensorSpec spec = require(name, Shape.of(rows, columns));
        // No kernel multiplies in f64; what f32 loses of a checkpoint lies far below what training left undetermined.
        DType own = spec.dtype() == DType.F64 ? DType.F32 : spec.dtype();
        return WeightRef.model(name, spec.withDType(matrixType == null ? own : matrixType));
    }

    /**
     * The embedding table {@code [rows, columns]} under {@code name}. Rows are looked up, not multiplied, so that int8 or int4
     * would save no time: then it is kept in the checkpoint's type.
     */
    WeightRef table(String name, int rows, int columns) {
        boolean quantised = matrixType == DType.I8 || matrixType == DType.I4;
        return (quantised ? new Checkpoint(specs, null) : this).matrix(name, rows, columns);
    }

    /** The vector {@code [size]} under {@code name}, kept in f32. */
    WeightRef vector(String name, int size) {
        return WeightRef.model(name, require(name, Shape.of(size)).withDType(DType.F32));
    }

    /** Requires that there is no weight {@code name}: a model that leaves it out would not be the checkpoint's. */
    void requireNone(String name) {
        TensorSpec spec = specs.apply(name);
        if (spec != null) {
            throw new UnsupportedModelException("the checkpoint has a weight '" + name + "' (" + spec
                    + "), the configuration describes a model without it; one of the two is wrong");
        }
    }

    private TensorSpec require(String name, Shape shape) {
        TensorSpec spec = specs.apply(name);
        if (spec == null) {
            throw new UnsupportedModelException(
                    "the checkpoint has no weight '" + name + "'; the configuration calls for one of shape " + shape);
        }
        if (!spec.shape().equals(shape)) {
            throw new ShapeException(
                    "weight '" + name + "': the configuration calls for " + shape + ", the checkpoint has " + spec);
        }
        if (!spec.dtype().isFloat()) {
            throw new UnsupportedModelException(
                    "weight '" + name + "': expected elements of F64, F32, BF16 or F16, found " + spec.dtype()
                            + "; quantised checkpoints are not read");
        }
        return spec;
    }
}
