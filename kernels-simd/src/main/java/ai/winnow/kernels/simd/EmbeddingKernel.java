package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.util.Objects;

/** Rows of a table {@code [vocabulary, hidden]}, widened to f32. */
record EmbeddingKernel(StoredWeight table) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return table.name("Embedding");
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = (long) operands.inRows(0) * table.inputs();
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long ids = operands.inAddress(0);
        long y = operands.outAddress(0);
        int rows = operands.inRows(0);
        int to = Parts.begin(rows, 1, part + 1, parts);
        for (int row = Parts.begin(rows, 1, part, parts); row < to; row++) {
            int id = Objects.checkIndex(ALL.get(Lanes.INT, ids + 4L * row), table.outputs());
            table.widenRow(operands.inAddress(1), id, y + 4L * table.inputs() * row);
        }
    }
}
