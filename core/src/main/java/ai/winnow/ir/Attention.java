package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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
        int rows = operands.inRows(0);
        int headDim = shape.headDim();
        double[] scores = new double[shape.contextLength()];
        for (int row = 0; row < rows; row++) {
            int sequence = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, row);
            int first = operands.in(2).getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < queryHeads; head++) {
                int kvHead = head / group();
                int length = operands.in(7).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, layer, kvHead));
                int end = length + row - first + 1;
                int begin = window > 0 ? Math.max(0, end - window) : 0;
                long at = ((long) row * queryHeads + head) * headDim;
                attend(operands, slot, kvHead, begin, end, at, scores);
            }
        }
    }

    /** One query head over the cached rows {@code begin} to {@code end}, in f64. */
    private void attend(Operands operands, int slot, int head, int begin, int end, long at, double[] scores) {
        MemorySegment query = operands.in(0);
        MemorySegment table = operands.in(6);
        int headDim = shape.headDim();
        double max = Double.NEGATIVE_INFINITY;
        for (int i = begin; i < end; i++) {
            int page = KvAppend.page(shape, table, slot, layer, head, i);
            double dot = 0;
            for (int d = 0; d < headDim; d++) {
                dot += (double) DType.F32.getFloat(query, at + d)
                        * shape.get(operands.in(4), page, i % KvShape.PAGE_ROWS, d);
            }
            scores[i] = dot * scale;
            max = Math.max(max, scores[i]);
        }
        double sum = 0;
        for (int i = begin; i < end; i++) {
            scores[i] = Math.exp(scores[i] - max);
            sum += scores[i];
        }
        for (int d = 0; d < headDim; d++) {
            double total = 0;
            for (int i = begin; i < end; i++) {
                int page = KvAppend.page(shape, table, slot, layer, head, i);
                total += scores[i] * shape.get(operands.in(5), page, i % KvShape.PAGE_ROWS, d);
            }
            DType.F32.setFloat(operands.out(0), at + d, (float) (total / sum));
        }
    }
}
