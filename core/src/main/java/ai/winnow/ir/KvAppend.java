package ai.winnow.ir;

import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Writes the keys and values of this step's rows behind those that are cached. Inputs: {@code key and value F32 [rows, heads *
 * headDim]}, then {@code sequence, indptr, slots} of {@link StandardInputs}, then the operands of {@link StandardInputs.Kv}. The
 * lengths are not raised here: the session does it when the whole step has succeeded.
 */
public record KvAppend(KvShape shape, int layer) implements Fused.Defined {

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 9);
        Inference.requireRows(this, inputs, 0, (long) shape.heads() * shape.headDim());
        Inference.requireRows(this, inputs, 1, (long) shape.heads() * shape.headDim());
        Inference.requireCache(this, inputs, 2, shape);
        return List.of();
    }

    @Override
    public boolean writesState() {
        return true;
    }

    @Override
    public String name() {
        return "KvAppend[" + shape.dtype() + ", " + shape.heads() + " x " + shape.headDim() + "]";
    }

    @Override
    public void evaluate(Operands operands) {
        int rows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            int sequence = operands.in(2).getAtIndex(ValueLayout.JAVA_INT, row);
            int first = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(4).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int at = operands.in(8).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, layer, head))
                        + row
                        - first;
                int page = page(shape, operands.in(7), slot, layer, head, at);
                long from = ((long) row * shape.heads() + head) * shape.headDim();
                shape.put(operands.in(5), page, at % KvShape.PAGE_ROWS, operands.in(0), from);
                shape.put(operands.in(6), page, at % KvShape.PAGE_ROWS, operands.in(1), from);
            }
        }
    }

    /** The page of the pool that holds row {@code at} of (slot, layer, head). */
    static int page(KvShape shape, MemorySegment table, int slot, int layer, int head, int at) {
        return table.getAtIndex(ValueLayout.JAVA_INT, shape.tableIndex(slot, layer, head) + at / KvShape.PAGE_ROWS);
    }
}
