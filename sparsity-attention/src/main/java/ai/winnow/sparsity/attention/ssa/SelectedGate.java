package ai.winnow.sparsity.attention.ssa;

import ai.winnow.ShapeException;
import ai.winnow.ir.Derivation;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * The gates that are used, {@code F32 [heads, hidden]}, of a checkpoint's {@code [heads * 3, hidden]}. A head has three: of compressed,
 * selected and sliding attention; SSA has selected attention only, the others are left over from its code's origin.
 */
record SelectedGate(String name, int heads, int hidden) implements Derivation {

    private static final int BRANCHES = 3;
    private static final int SELECTED = 1;

    /** The gate of layer {@code layer}. */
    static WeightRef of(int layer, int heads, int hidden) {
        String name = "model.layers." + layer + ".self_attn.g_proj.weight";
        // So few numbers that a narrower type would save nothing.
        TensorSpec spec = TensorSpec.of(DType.F32, heads, hidden);
        return WeightRef.derived("ssa/gate.layer." + layer, spec, new SelectedGate(name, heads, hidden));
    }

    @Override
    public List<WeightRef> sources() {
        return List.of(WeightRef.model(name, TensorSpec.of(DType.F32, (long) heads * BRANCHES, hidden)));
    }

    @Override
    public void compute(List<Tensor> sources, Tensor result) {
        Tensor all = sources.getFirst();
        TensorSpec wanted = TensorSpec.of(all.dtype(), (long) heads * BRANCHES, hidden);
        if (!all.spec().equals(wanted)) {
            throw new ShapeException("weight '" + name + "': ssa calls for " + wanted + ", a gate for each of "
                    + BRANCHES + " branches of " + heads + " heads, the checkpoint has " + all.spec());
        }
        for (int head = 0; head < heads; head++) {
            for (int i = 0; i < hidden; i++) {
                long from = ((long) head * BRANCHES + SELECTED) * hidden + i;
                result.dtype().setFloat(result.segment(), (long) head * hidden + i, all.getFloat(from));
            }
        }
    }
}
