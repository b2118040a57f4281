package ai.winnow.ir;

import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * Causal softmax attention of this step's rows over the paged cache, with grouped query heads (Ainslie et al. 2023): query head
 * {@code h} reads key-value head {@code h / (queryHeads / heads)}. Inputs: {@code query F32 [rows, queryHeads * headDim]}, then
 * {@code sequence, indptr, slots} of {@link StandardInputs}, then the operands of {@link StandardInputs.Kv}; output {@code F32
 * [rows, queryHeads * headDim]}. A row sees what was cached before the step and the rows of its sequence up to itself, so it
 * comes after {@link KvAppend} of its layer.
 *
 * @param scale factor of the scores, usually {@code 1 / sqrt(headDim)}
 * @param window how many of the latest rows are seen, the row itself included; 0 for all
 */
public record Attention(KvShape shape, int layer, int queryHeads, float scale, int window) implements Fused.Defined {

    public Attention {
        int heads = shape.heads();
        int queries = queryHeads;
        Inference.require(
                queries % heads == 0, () -> queries + " query heads cannot share " + heads + " key-value heads evenly");
    }

    /** Query heads that read the same key-value head. */
    public int group() {
        return queryHeads / shape.heads();
    }

    @Override
    public String name() {
        return "Attention[" + queryHeads + "/" + shape.heads() + " x " + shape.headDim() + ", " + shape.dtype()
                + (window > 0 ? ", window " + window : "") + "]";
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 8);
        Inference.requireRows(this, inputs, 0, (long) queryHeads * shape.headDim());
        Inference.requireCache(this, inputs, 1, shape);
        return List.of(inputs.getFirst());
    }

    @Override
    public void evaluate(Operands operands) {
        ExactAttention exact = new ExactAttention(this, operands, 1);
        for (int row = 0; row < operands.inRows(0); row++) {
            for (int head = 0; head < queryHeads; head++) {
                exact.attend(row, head, key -> true);
            }
        }
    }
}
