package ai.winnow.kernels.simd;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/** {@code x [rows, width]} where {@code !(|x| <= threshold)}, else 0. */
record ThresholdSelectKernel(float threshold, long width) implements Kernel, Workers.Task {

    private static final int PIECE = 1 << 14;

    @Override
    public String name() {
        return "F32ThresholdSelect";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = operands.outRows(0) * width;
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long elements = operands.outRows(0) * width;
        long to = Parts.begin(elements, part + 1, parts);
        for (long at = Parts.begin(elements, part, parts); at < to; at += PIECE) {
            int n = (int) Math.min(PIECE, to - at);
            Elementwise.threshold(operands.inAddress(0) + 4 * at, threshold, operands.outAddress(0) + 4 * at, n);
        }
    }
}
