package ai.winnow.kernels.simd;

import ai.winnow.ir.Activation;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/** A nonlinearity of {@code x [rows, width]}. Scratch: a piece of elements for each part. */
record ActivationKernel(Activation.Kind kind, long width) implements Kernel, Workers.Task {

    private static final long PART_BYTES = 4L * (Activations.PIECE + Selection.SLACK);

    @Override
    public String name() {
        return "F32Activation " + kind;
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(PART_BYTES, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = operands.outRows(0) * width;
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS / 4));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long elements = operands.outRows(0) * width;
        long to = Parts.begin(elements, part + 1, parts);
        long x = operands.inAddress(0);
        long y = operands.outAddress(0);
        long scratch = workspace.scratchAddress();
        long scratchAt = Parts.scratch(PART_BYTES, part);
        for (long at = Parts.begin(elements, part, parts); at < to; at += Activations.PIECE) {
            int n = (int) Math.min(Activations.PIECE, to - at);
            switch (kind) {
                case SILU -> Activations.silu(x + 4 * at, y + 4 * at, n, scratch + scratchAt);
                case GELU -> Activations.gelu(x + 4 * at, y + 4 * at, n);
                case GELU_TANH -> Activations.geluTanh(x + 4 * at, y + 4 * at, n, scratch + scratchAt);
                case RELU -> Activations.relu(x + 4 * at, y + 4 * at, n);
            }
        }
    }
}
