package ai.winnow.kernels.simd;

import ai.winnow.ir.LayerNorm;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/** Norm of each row of {@code x [rows, width]}. */
record LayerNormKernel(LayerNorm op) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return "F32LayerNorm";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = (long) operands.inRows(0) * op.width();
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int rows = operands.inRows(0);
        int to = Parts.begin(rows, 1, part + 1, parts);
        for (int row = Parts.begin(rows, 1, part, parts); row < to; row += Norms.ROWS) {
            long at = 4L * row * op.width();
            Norms.layer(
                    operands.inAddress(0) + at,
                    operands.inAddress(1),
                    operands.inAddress(2),
                    operands.outAddress(0) + at,
                    Math.min(Norms.ROWS, to - row),
                    op.width(),
                    op.epsilon());
        }
    }
}
