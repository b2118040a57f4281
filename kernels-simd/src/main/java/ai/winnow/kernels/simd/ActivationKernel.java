package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Activation;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;

/** A nonlinearity of {@code x [rows, width]}. Scratch: vectors for what lies behind the last whole one. */
record ActivationKernel(Activation.Kind kind, long width) implements Kernel, Workers.Task {

    private static final int PIECE = 1 << 14;
    private static final long VECTOR = 4L * Lanes.COUNT;

    @Override
    public String name() {
        return "F32Activation " + kind;
    }

    @Override
    public long workspaceBytes() {
        return 2 * VECTOR;
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = operands.outRows(0) * width;
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS / 4));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long elements = operands.outRows(0) * width;
        long x = operands.inAddress(0);
        long y = operands.outAddress(0);
        long to = Parts.begin(elements, part + 1, parts);
        long whole = to - to % Lanes.COUNT;
        for (long at = Parts.begin(elements, part, parts); at < whole; at += PIECE) {
            apply(x + 4 * at, y + 4 * at, (int) Math.min(PIECE, whole - at));
        }
        if (whole < to) { // in the last part only: the others end at multiples
            long scratch = workspace.scratchAddress();
            long rest = 4 * (to - whole);
            Lanes.zero(scratch, Lanes.COUNT);
            MemorySegment.copy(ALL, x + 4 * whole, ALL, scratch, rest);
            apply(scratch, scratch + VECTOR, Lanes.COUNT);
            MemorySegment.copy(ALL, scratch + VECTOR, ALL, y + 4 * whole, rest);
        }
    }

    private void apply(long x, long y, int n) {
        switch (kind) {
            case SILU -> Activations.silu(x, y, n);
            case GELU -> Activations.gelu(x, y, n);
            case GELU_TANH -> Activations.geluTanh(x, y, n);
            case RELU -> Activations.relu(x, y, n);
        }
    }
}
