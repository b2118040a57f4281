package ai.winnow.kernels.simd;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/** Softmax of each row of {@code x [rows, width]}. Scratch: a vector for each part. */
record SoftmaxKernel(int width) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return "F32Softmax";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(RowSoftmax.SCRATCH_BYTES, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = (long) operands.inRows(0) * width;
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS / 4));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int rows = operands.inRows(0);
        long scratchAt = Parts.scratch(RowSoftmax.SCRATCH_BYTES, part);
        int to = Parts.begin(rows, 1, part + 1, parts);
        for (int row = Parts.begin(rows, 1, part, parts); row < to; row++) {
            long at = 4L * row * width;
            RowSoftmax.run(
                    operands.inAddress(0) + at,
                    operands.outAddress(0) + at,
                    width,
                    workspace.scratchAddress() + scratchAt);
        }
    }
}
