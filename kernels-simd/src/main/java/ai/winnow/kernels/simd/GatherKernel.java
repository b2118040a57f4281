package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** Rows of a table, bit for bit. */
record GatherKernel(long rowBytes) implements Kernel {

    @Override
    public String name() {
        return "Gather";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long table = operands.inAddress(0);
        long indices = operands.inAddress(1);
        long y = operands.outAddress(0);
        int rows = operands.inRows(1);
        int tableRows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            int index = Objects.checkIndex(ALL.get(Lanes.INT, indices + 4L * row), tableRows);
            MemorySegment.copy(ALL, table + rowBytes * index, ALL, y + rowBytes * row, rowBytes);
        }
    }
}
