package ai.winnow.kernels.simd;

import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;

/** Keys and values of this step's rows into their pages, in the pages' type. */
record KvAppendKernel(KvAppend op) implements Kernel {

    @Override
    public String name() {
        return (op.shape().dtype() == DType.F32 ? "F32" : "Bf16") + "KvAppend";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        KvShape shape = op.shape();
        MemorySegment table = operands.in(7);
        int rows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            int sequence = operands.in(2).get(Lanes.INT, 4L * row);
            int first = operands.in(3).get(Lanes.INT, 4L * sequence);
            int slot = operands.in(4).get(Lanes.INT, 4L * sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int length = operands.in(8).get(Lanes.INT, 4L * shape.headIndex(slot, op.layer(), head));
                int at = length + row - first;
                long entry = shape.tableIndex(slot, op.layer(), head) + at / KvShape.PAGE_ROWS;
                long page = table.get(Lanes.INT, 4 * entry);
                long to = page * shape.pageElements() + (long) (at % KvShape.PAGE_ROWS) * shape.headDim();
                long from = 4 * ((long) row * shape.heads() + head) * shape.headDim();
                store(operands.in(0), from, operands.in(5), to);
                store(operands.in(1), from, operands.in(6), to);
            }
        }
    }

    private void store(MemorySegment from, long fromAt, MemorySegment pool, long element) {
        int count = op.shape().headDim();
        if (op.shape().dtype() == DType.F32) {
            MemorySegment.copy(from, fromAt, pool, 4 * element, 4L * count);
        } else {
            Conversions.floatToBf16(from, fromAt, pool, 2 * element, count);
        }
    }
}
