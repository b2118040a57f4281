package ai.winnow.sparsity.activation.wina;

import ai.winnow.ir.WeightRef;
import ai.winnow.method.Calibration;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.jspecify.annotations.Nullable;

/** A model's weights in other bases, computed in f64 and kept in the type of the checkpoint. */
record RotatedWeights(Calibration calibration) {

    /** Rows of a product that one thread computes at a time. */
    private static final int BLOCK = 64;

    /** A vector of the model. */
    float[] vector(WeightRef ref) {
        try (Arena temporary = Arena.ofShared()) {
            return calibration.weight(ref, temporary).toFloats();
        }
    }

    /** {@code W diag(gain)}. */
    DMatrixRMaj folded(WeightRef ref, float[] gain) {
        try (Arena temporary = Arena.ofShared()) {
            Tensor weight = calibration.weight(ref, temporary);
            int out = Math.toIntExact(weight.shape().max(0));
            DMatrixRMaj folded = new DMatrixRMaj(out, gain.length);
            for (int i = 0; i < out * gain.length; i++) {
                folded.set(i, (double) weight.getFloat(i) * gain[i % gain.length]);
            }
            return folded;
        }
    }

    /** {@code W diag(gain) V}: a matrix whose rows meet rows of the stream. */
    Tensor read(WeightRef ref, float @Nullable [] gain, Basis basis) {
        return product(ref, gain, basis, false, false);
    }

    /**
     * The same of the matrix that the basis was made for: its columns are orthogonal, their norms the singular values, and those of
     * singular value 0 are made exactly 0, so that they score nothing.
     */
    Tensor diagonal(WeightRef ref, float[] gain, Basis basis) {
        return product(ref, gain, basis, false, true);
    }

    /** {@code V^T W}: a matrix or bias that makes rows of the stream. */
    Tensor write(WeightRef ref, Basis basis) {
        return product(ref, null, basis, true, false);
    }

    /** What brings a row of the stream from one basis into another: {@code x V_from^T V_to}, as a linear layer's matrix. */
    Tensor shortcut(Basis from, Basis to, DType type) {
        int width = from.values().length;
        DMatrixRMaj matrix = new DMatrixRMaj(width, width);
        CommonOps_DDRM.multTransA(to.vectors(), from.vectors(), matrix);
        Tensor tensor = Tensor.allocate(calibration.arena(), kept(type), width, width);
        for (int i = 0; i < width * width; i++) {
            tensor.dtype().setFloat(tensor.segment(), i, (float) matrix.get(i));
        }
        return tensor;
    }

    /** Every row (or column, if {@code transposed}) of the weight times the basis, some at a time. */
    private Tensor product(WeightRef ref, float @Nullable [] gain, Basis basis, boolean transposed, boolean zeros) {
        TensorSpec spec = new TensorSpec(kept(ref.spec().dtype()), ref.spec().shape());
        Tensor result = Tensor.allocate(calibration.arena(), spec, Layout.ROW_MAJOR);
        int width = basis.values().length;
        int lines = Math.toIntExact(spec.shape().maxElements() / width);
        try (Arena temporary = Arena.ofShared()) {
            Tensor weight = calibration.weight(ref, temporary);
            IntStream.range(0, (lines + BLOCK - 1) / BLOCK).parallel().forEach(block -> {
                int first = block * BLOCK;
                int count = Math.min(BLOCK, lines - first);
                DMatrixRMaj in = new DMatrixRMaj(count, width);
                DMatrixRMaj out = new DMatrixRMaj(count, width);
                for (int line = 0; line < count; line++) {
                    for (int i = 0; i < width; i++) {
                        double value = weight.getFloat(index(first + line, i, lines, width, transposed));
                        in.set(line, i, gain == null ? value : value * gain[i]);
                    }
                }
                CommonOps_DDRM.mult(in, basis.vectors(), out);
                for (int line = 0; line < count; line++) {
                    for (int i = 0; i < width; i++) {
                        float value = zeros && basis.values()[i] == 0 ? 0 : (float) out.get(line, i);
                        long at = index(first + line, i, lines, width, transposed);
                        spec.dtype().setFloat(result.segment(), at, value);
                    }
                }
            });
        }
        return result;
    }

    private static long index(int line, int i, int lines, int width, boolean transposed) {
        return transposed ? (long) i * lines + line : (long) line * width + i;
    }

    /** Weights that are quantised at load are kept wide until then. */
    private static DType kept(DType type) {
        return type.isFloat() ? type : DType.F32;
    }
}
