package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;

/**
 * {@code x [rows, in], mask [rows, out] -> y [rows, out]}: the outputs whose mask is not zero (NaN counts as set) are listed once a
 * row, and only their weights are read; the others become zero.
 *
 * <p>Scratch: the row and the length of its list; the list; the prepared x; what each part needs.
 */
record MaskedLinearKernel(StoredWeight weight, boolean bias, int maxRows) implements Kernel, Workers.Task {

    private static final long ROW = 0;
    private static final long LISTED = 4;
    private static final long LIST = 64;

    /** In place of a row: all rows together. */
    private static final int TOGETHER = -1;

    @Override
    public String name() {
        return weight.name("MaskedLinear");
    }

    @Override
    public long workspaceBytes() {
        return preparedAt() + weight.preparedBytes() + Parts.scratch(weight.partBytes(maxRows), Parts.MOST);
    }

    private long preparedAt() {
        return LIST + Tensor.align(4L * (weight.outputs() + Selection.SLACK));
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        long scratch = workspace.scratchAddress();
        if (weight.multiplies(rows)) {
            ALL.set(Lanes.INT, scratch + ROW, TOGETHER);
            workspace
                    .workers()
                    .run(this, operands, workspace, Parts.ofWeight(workspace, weight.bytes() * rows, weight.outputs()));
            return;
        }
        for (int row = 0; row < rows; row++) {
            long maskAt = 4L * weight.outputs() * row;
            int listed = Selection.threshold(operands.inAddress(2) + maskAt, weight.outputs(), 0, scratch + LIST);
            weight.prepare(operands.inAddress(0) + 4L * weight.inputs() * row, scratch + preparedAt());
            ALL.set(Lanes.INT, scratch + ROW, row);
            ALL.set(Lanes.INT, scratch + LISTED, listed);
            long bytes = weight.bytesOf(listed);
            workspace.workers().run(this, operands, workspace, Parts.ofWeight(workspace, bytes, weight.outputs()));
        }
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = workspace.scratchAddress();
        int row = ALL.get(Lanes.INT, scratch + ROW);
        int listed = ALL.get(Lanes.INT, scratch + LISTED);
        int lo = Parts.begin(weight.outputs(), Parts.GRAIN, part, parts);
        int hi = Parts.begin(weight.outputs(), Parts.GRAIN, part + 1, parts);
        long start = bias ? operands.inAddress(3) : 0;
        if (row == TOGETHER) {
            product(operands, workspace, start, lo, hi, part);
            return;
        }
        boolean prepared = weight.preparedBytes() > 0;
        long x = prepared ? scratch : operands.inAddress(0);
        long xAt = prepared ? preparedAt() : 4L * weight.inputs() * row;
        long scratchAt = preparedAt() + weight.preparedBytes() + Parts.scratch(weight.partBytes(maxRows), part);
        long yAt = 4L * weight.outputs() * row;
        weight.masked(
                operands.inAddress(1),
                scratch + LIST,
                listed,
                x + xAt,
                start,
                operands.outAddress(0) + yAt,
                lo,
                hi,
                scratch + scratchAt);
    }

    /** Of so many rows some mask sets nearly every output: all are computed, as {@link LinearKernel} does, and the others cleared. */
    private void product(Operands operands, Workspace workspace, long start, int lo, int hi, int part) {
        int rows = operands.inRows(0);
        long y = operands.outAddress(0);
        long mask = operands.inAddress(2);
        long scratchAt = preparedAt() + weight.preparedBytes() + Parts.scratch(weight.partBytes(maxRows), part);
        weight.product(
                operands.inAddress(1),
                operands.inAddress(0),
                rows,
                start,
                y,
                lo,
                hi,
                workspace.scratchAddress() + scratchAt);
        for (int row = 0; row < rows; row++) {
            long at = 4L * weight.outputs() * row;
            for (int o = lo; o < hi; o++) {
                if (ALL.get(Lanes.FLOAT, mask + at + 4L * o) == 0) {
                    ALL.set(Lanes.FLOAT, y + at + 4L * o, 0);
                }
            }
        }
    }
}
