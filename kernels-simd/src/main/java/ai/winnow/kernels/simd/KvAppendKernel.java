package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** Keys and values of this step's rows into their pages, in the pages' type. */
record KvAppendKernel(KvAppend op) implements Kernel {

    @Override
    public String name() {
        return PageRows.type(op.shape().dtype()) + "KvAppend";
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
                        + Objects.checkIndex(at, shape.contextLength()) / KvShape.PAGE_ROWS;
                long page = operands.in(7).get(Lanes.INT, 4 * entry) * shape.pageBytes();
                long from = 4 * ((long) row * shape.heads() + head) * shape.headDim();
                store(operands.inAddress(0) + from, operands.in(5), page, at % KvShape.PAGE_ROWS);
                store(operands.inAddress(1) + from, operands.in(6), page, at % KvShape.PAGE_ROWS);
            }
        }
    }

    /** Row {@code row} of the page that begins at byte {@code pageAt} of the pool. */
    private void store(long from, MemorySegment pool, long pageAt, int row) {
        KvShape shape = op.shape();
        long page = Memory.address(pool, pageAt, shape.pageBytes());
        long element = shape.rowAt(0, row);
        int count = shape.headDim();
        switch (shape.dtype()) {
            case F32 -> MemorySegment.copy(ALL, from, ALL, page + 4 * element, 4L * count);
            case BF16 -> Conversions.floatToBf16(from, page + 2 * element, count);
            default -> {
                float scale = Conversions.floatToInt8(from, page + element, count);
                ALL.set(Lanes.FLOAT, page + shape.scaleAt(0, row), scale);
            }
        }
    }
}
