package ai.winnow.kernels.simd;

import ai.winnow.ir.RmsNorm;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/** Norm of each of {@code groups} runs of elements of {@code x [rows, groups * width]}. */
record RmsNormKernel(RmsNorm op, int groups) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return "F32RmsNorm";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = (long) operands.inRows(0) * groups * op.width();
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int rows = operands.inRows(0);
        int to = Parts.begin(rows, 1, part + 1, parts) * groups;
        for (int run = Parts.begin(rows, 1, part, parts) * groups; run < to; run += Norms.ROWS) {
            long at = 4L * run * op.width();
            Norms.rms(
                    operands.inAddress(0) + at,
                    operands.inAddress(1),
                    operands.outAddress(0) + at,
                    Math.min(Norms.ROWS, to - run),
                    op.width(),
                    op.epsilon(),
                    op.divisor());
        }
    }
}
