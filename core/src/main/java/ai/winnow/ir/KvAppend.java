package ai.winnow.ir;

import ai.winnow.tensor.DType;
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
        int headDim = shape.headDim();
        for (int row = 0; row < rows; row++) {
            int sequence = operands.in(2).getAtIndex(ValueLayout.JAVA_INT, row);
            int first = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(4).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int at = operands.in(8).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, layer, head))
                        + row
                        - first;
                long to = element(shape, operands.in(7), slot, layer, head, at);
                long from = ((long) row * shape.heads() + head) * headDim;
                copy(operands.in(0), from, shape.dtype(), operands.in(5), to, headDim);
                copy(operands.in(1), from, shape.dtype(), operands.in(6), to, headDim);
            }
        }
    }

    /** The element of the pool where row {@code at} of (slot, layer, head) begins. */
    static long element(KvShape shape, MemorySegment table, int slot, int layer, int head, int at) {
        long entry = shape.tableIndex(slot, layer, head) + at / KvShape.PAGE_ROWS;
        int page = table.getAtIndex(ValueLayout.JAVA_INT, entry);
        return page * shape.pageElements() + (long) (at % KvShape.PAGE_ROWS) * shape.headDim();
    }

    private static void copy(MemorySegment from, long source, DType type, MemorySegment to, long target, int count) {
        for (int i = 0; i < count; i++) {
            type.setFloat(to, target + i, DType.F32.getFloat(from, source + i));
        }
    }
}
