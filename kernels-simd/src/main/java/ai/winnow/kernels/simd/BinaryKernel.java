package ai.winnow.kernels.simd;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/**
 * Sum or product of {@code a [rows, width]} and {@code b}, which has the same shape or is one row for all.
 *
 * @param add whether it is the sum
 * @param oneRow whether b is one row
 */
record BinaryKernel(boolean add, long width, boolean oneRow) implements Kernel, Workers.Task {

    private static final int PIECE = 1 << 14;

    @Override
    public String name() {
        return (add ? "F32Add" : "F32Multiply") + (oneRow ? ", one row to all" : "");
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = operands.outRows(0) * width;
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int rows = operands.outRows(0);
        if (oneRow) {
            int to = Parts.begin(rows, 1, part + 1, parts);
            for (int row = Parts.begin(rows, 1, part, parts); row < to; row++) {
                span(operands, row * width, 0, width);
            }
        } else {
            long from = Parts.begin(rows * width, part, parts);
            span(operands, from, from, Parts.begin(rows * width, part + 1, parts) - from);
        }
    }

    private void span(Operands operands, long a, long b, long count) {
        long left = operands.inAddress(0);
        long right = operands.inAddress(1);
        long result = operands.outAddress(0);
        for (long at = 0; at < count; at += PIECE) {
            int n = (int) Math.min(PIECE, count - at);
            long leftAt = 4 * (a + at);
            long rightAt = 4 * (b + at);
            if (add) {
                Elementwise.add(left + leftAt, right + rightAt, result + leftAt, n);
            } else {
                Elementwise.multiply(left + leftAt, right + rightAt, result + leftAt, n);
            }
        }
    }
}
