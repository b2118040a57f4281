package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** Rows of a table, bit for bit. */
record GatherKernel(long rowBytes) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return "Gather";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long bytes = rowBytes * operands.inRows(1);
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, bytes, 4 * Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long table = operands.inAddress(0);
        long indices = operands.inAddress(1);
        long y = operands.outAddress(0);
        int rows = operands.inRows(1);
        int tableRows = operands.inRows(0);
        int to = Parts.begin(rows, 1, part + 1, parts);
        for (int row = Parts.begin(rows, 1, part, parts); row < to; row++) {
            int index = Objects.checkIndex(ALL.get(Lanes.INT, indices + 4L * row), tableRows);
            MemorySegment.copy(ALL, table + rowBytes * index, ALL, y + rowBytes * row, rowBytes);
        }
    }
}
