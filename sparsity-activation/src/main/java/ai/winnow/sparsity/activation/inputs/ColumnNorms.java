package ai.winnow.sparsity.activation.inputs;

import ai.winnow.ir.Derivation;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/** The L2 norm of each column of a matrix {@code [out, in]}: F32 {@code [in]}, summed in f64. */
record ColumnNorms(WeightRef weight) implements Derivation {

    static WeightRef of(WeightRef weight) {
        TensorSpec spec = TensorSpec.of(DType.F32, weight.spec().shape().max(1));
        return WeightRef.derived("norms of columns of " + weight.name(), spec, new ColumnNorms(weight));
    }

    @Override
    public List<WeightRef> sources() {
        return List.of(weight);
    }

    @Override
    public void compute(List<Tensor> sources, Tensor result) {
        float[] norms = norms(sources.getFirst());
        for (int j = 0; j < norms.length; j++) {
            DType.F32.setFloat(result.segment(), j, norms[j]);
        }
    }

    static float[] norms(Tensor weight) {
        int out = Math.toIntExact(weight.shape().max(0));
        int in = Math.toIntExact(weight.shape().max(1));
        double[] squares = new double[in];
        for (int i = 0; i < out; i++) {
            for (int j = 0; j < in; j++) {
                double w = weight.getFloat((long) i * in + j);
                squares[j] += w * w;
            }
        }
        float[] norms = new float[in];
        for (int j = 0; j < in; j++) {
            norms[j] = (float) Math.sqrt(squares[j]);
        }
        return norms;
    }
}
