package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Rotary;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** Rotary position embedding of {@code x [rows, heads * headDim]}. */
record RotaryKernel(Rotary op, int heads) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return "F32Rotary " + op.pairing();
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = (long) operands.inRows(0) * heads * op.headDim();
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long x = operands.inAddress(0);
        long cos = operands.inAddress(1);
        long sin = operands.inAddress(2);
        long y = operands.outAddress(0);
        long positions = operands.inAddress(3);
        int rows = operands.inRows(0);
        int half = op.rotaryDim() / 2;
        long rest = 4L * (op.headDim() - op.rotaryDim());
        int to = Parts.begin(rows, 1, part + 1, parts);
        for (int row = Parts.begin(rows, 1, part, parts); row < to; row++) {
            int position = Objects.checkIndex(ALL.get(Lanes.INT, positions + 4L * row), operands.inRows(1));
            long angleAt = 4L * half * position;
            for (int head = 0; head < heads; head++) {
                long at = 4 * ((long) row * heads + head) * op.headDim();
                switch (op.pairing()) {
                    case HALF_SPLIT -> Rotations.halfSplit(x + at, cos, sin, angleAt, y + at, half);
                    case INTERLEAVED -> Rotations.interleaved(x + at, cos, sin, angleAt, y + at, half);
                }
                if (rest > 0) {
                    long behind = at + 4L * op.rotaryDim();
                    MemorySegment.copy(ALL, x + behind, ALL, y + behind, rest);
                }
            }
        }
    }
}
