package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/** Rows of an embedding table: {@code ids I32 [rows], table [vocabulary, hidden] -> F32 [rows, hidden]}. */
public record Embedding() implements Fused.Composite {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 2);
        TensorSpec ids = inputs.get(0);
        TensorSpec table = inputs.get(1);
        Inference.require(
                ids.dtype() == DType.I32
                        && ids.shape().rank() == 1
                        && table.shape().rank() == 2,
                () -> "Embedding takes I32 [rows] and [vocabulary, hidden], got " + inputs);
        return List.of(
                TensorSpec.rows(DType.F32, ids.shape().rowDim(), table.shape().max(1)));
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.TOKEN_EMBED);
        Value rows = builder.add(new Primitive.Gather(), site, inputs.get(1), inputs.get(0));
        return List.of(builder.add(new Primitive.Cast(DType.F32), site, rows));
    }
}
