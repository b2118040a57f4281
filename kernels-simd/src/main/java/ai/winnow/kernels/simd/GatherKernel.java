package ai.winnow.kernels.simd;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;

/** Rows of a table, bit for bit. */
record GatherKernel(long rowBytes) implements Kernel {

    @Override
    public String name() {
        return "Gather";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        MemorySegment table = operands.in(0);
        MemorySegment indices = operands.in(1);
        MemorySegment y = operands.out(0);
        int rows = operands.inRows(1);
        for (int row = 0; row < rows; row++) {
            MemorySegment.copy(table, rowBytes * indices.get(Lanes.INT, 4L * row), y, rowBytes * row, rowBytes);
        }
    }
}
