package ai.winnow.kernels.simd;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;

/** Rows of a table {@code [vocabulary, hidden]}, widened to f32. */
record EmbeddingKernel(StoredWeight table) implements Kernel {

    @Override
    public String name() {
        return table.name("Embedding");
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        MemorySegment ids = operands.in(0);
        MemorySegment y = operands.out(0);
        int rows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            table.widenRow(operands.in(1), ids.get(Lanes.INT, 4L * row), y, 4L * table.inputs() * row);
        }
    }
}
