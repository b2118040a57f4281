package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvPlaneAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.util.Objects;

/** This step's rows into the columns of a plane's pages, in the plane's type. */
record KvPlaneAppendKernel(KvPlaneAppend op) implements Kernel {

    @Override
    public String name() {
        return PageRows.type(op.plane().dtype()) + "KvPlaneAppend";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        KvShape shape = op.shape();
        KvPlane plane = op.plane();
        int rows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            int sequence = operands.in(1).get(INT, 4L * row);
            int first = operands.in(2).get(INT, 4L * sequence);
            int slot = operands.in(3).get(INT, 4L * sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int length = operands.in(6).get(INT, 4L * shape.headIndex(slot, op.layer(), head));
                int at = length + row - first;
                long entry = shape.tableIndex(slot, op.layer(), head)
                        + Objects.checkIndex(at, shape.contextLength()) / KvShape.PAGE_ROWS;
                long pageAt = operands.in(5).get(INT, 4 * entry) * plane.pageBytes();
                long page = Memory.address(operands.in(4), pageAt, plane.pageBytes());
                long from = operands.inAddress(0) + 4 * ((long) row * shape.heads() + head) * plane.width();
                store(from, page, at % KvShape.PAGE_ROWS);
            }
        }
    }

    private void store(long from, long page, int row) {
        KvPlane plane = op.plane();
        for (int j = 0; j < plane.width(); j++) {
            float number = ALL.get(FLOAT, from + 4L * j);
            long element = plane.at(0, j, row);
            if (plane.dtype() == DType.BF16) {
                ALL.set(SHORT, page + 2 * element, DType.floatToBf16(number));
            } else {
                ALL.set(FLOAT, page + 4 * element, number);
            }
        }
    }
}
