package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** Keys and values of this step's rows into their pages, in the pages' type. */
record KvAppendKernel(KvAppend op) implements Kernel {

    @Override
    public String name() {
        return (op.shape().dtype() == DType.F32 ? "F32" : "Bf16") + "KvAppend";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        KvShape shape = op.shape();
        int rows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            int sequence = operands.in(2).get(Lanes.INT, 4L * row);
            int first = operands.in(3).get(Lanes.INT, 4L * sequence);
            int slot = operands.in(4).get(Lanes.INT, 4L * sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int length = operands.in(8).get(Lanes.INT, 4L * shape.headIndex(slot, op.layer(), head));
                int at = length + row - first;
                long entry = shape.tableIndex(slot, op.layer(), head)
                        + Objects.checkIndex(at / KvShape.PAGE_ROWS, shape.pagesPerHead());
                long page = operands.in(7).get(Lanes.INT, 4 * entry);
                long to = page * shape.pageElements() + (long) (at % KvShape.PAGE_ROWS) * shape.headDim();
                long from = 4 * ((long) row * shape.heads() + head) * shape.headDim();
                store(operands.inAddress(0) + from, operands.in(5), to);
                store(operands.inAddress(1) + from, operands.in(6), to);
            }
        }
    }

    private void store(long from, MemorySegment pool, long element) {
        int count = op.shape().headDim();
        long to = Memory.address(
                pool, op.shape().dtype().bytes(element), op.shape().dtype().bytes(count));
        if (op.shape().dtype() == DType.F32) {
            MemorySegment.copy(ALL, from, ALL, to, 4L * count);
        } else {
            Conversions.floatToBf16(from, to, count);
        }
    }
}
