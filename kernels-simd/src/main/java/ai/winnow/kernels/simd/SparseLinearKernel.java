package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.InputSelection;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.util.Locale;

/**
 * {@code x [rows, in] -> y [rows, out]} from the selected inputs of each row: the list is made once by the calling thread, then the
 * outputs are split. Only the weights of listed inputs are read; a full list gives the bits of {@link LinearKernel}.
 *
 * <p>Several rows share one list, the union of theirs; what a row does not select counts as zero for it (a sum of -0 may become +0). So the weights are read
 * once for all rows, and never more of them than the dense kernel reads. Where the rows select so little that each by itself costs less, by
 * {@link StoredWeight#togetherCost}, they come one by one.
 *
 * <p>Scratch: which row, and the length of the list; the list; what the selection needs; the chains of a row; or the selected inputs of all rows and what each
 * part needs.
 */
record SparseLinearKernel(StoredWeight weight, InputSelection selection, boolean bias, int maxRows)
        implements Kernel, Workers.Task {

    private static final long LISTED = 0;
    private static final long ROW = 4;
    private static final long LIST = 64;

    /** In place of a row: all rows together. */
    private static final int TOGETHER = -1;

    @Override
    public String name() {
        String several = String.format(
                Locale.ROOT,
                ", several rows together where their inputs' union, times %.1f and %.2f a row, is less than what they select",
                weight.togetherBase(),
                weight.togetherSlope());
        return weight.name("SparseLinear") + (maxRows > 1 ? several : "");
    }

    @Override
    public long workspaceBytes() {
        long several = maxRows == 1 ? 0 : keptBytes() + Parts.scratch(weight.partBytes(maxRows), Parts.MOST);
        return sumsAt() + Math.max(weight.chainBytes(), several);
    }

    private long keptBytes() {
        return Tensor.align(4L * weight.inputs() * maxRows);
    }

    /** Where the chains of one row begin, or the selected inputs of several. */
    private long sumsAt() {
        return selectionAt() + Tensor.align(TopK.scratchBytes(weight.inputs()));
    }

    private long selectionAt() {
        return LIST + Tensor.align(4L * (weight.inputs() + Selection.SLACK));
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        long scratch = workspace.scratchAddress();
        if (rows == 0) {
            return;
        }
        boolean chained = weight.chained(rows); // as the dense kernel does, whatever is selected
        if (rows > 1 && !chained && together(operands, scratch, rows)) {
            int listed = ALL.get(Lanes.INT, scratch + LISTED);
            int parts = Parts.ofWeight(workspace, weight.bytesOf(listed) * rows, weight.outputs());
            workspace.workers().run(this, operands, workspace, parts);
            return;
        }
        for (int row = 0; row < rows; row++) {
            int listed = select(operands, scratch, 4L * weight.inputs() * row);
            ALL.set(Lanes.INT, scratch + LISTED, listed);
            ALL.set(Lanes.INT, scratch + ROW, row);
            int parts = Parts.ofWeight(workspace, weight.bytesOf(listed), weight.outputs());
            workspace.workers().run(this, operands, workspace, chained ? Math.min(parts, weight.chains()) : parts);
            if (chained) {
                weight.addChains(scratch + sumsAt(), operands.outAddress(0) + 4L * weight.outputs() * row);
            }
        }
    }

    /** Selects for all rows; whether the union is worth it. Then it is packed: row after row, with zeros where a row does not select. */
    private boolean together(Operands operands, long scratch, int rows) {
        int inputs = weight.inputs();
        long rowBytes = 4L * inputs;
        long kept = sumsAt();
        long selected = 0;
        for (int row = 0; row < rows; row++) {
            int listed = select(operands, scratch, rowBytes * row);
            selected += listed;
            long to = kept + rowBytes * row;
            Selection.keepListed(operands.inAddress(0) + rowBytes * row, inputs, scratch + LIST, listed, scratch + to);
        }
        int listed = Selection.anyNonZero(scratch + kept, rows, inputs, scratch + LIST);
        if (listed * weight.togetherCost(rows) > selected) {
            return false;
        }
        if (listed < inputs) {
            Selection.pack(scratch + kept, rows, inputs, scratch + LIST, listed);
        }
        ALL.set(Lanes.INT, scratch + LISTED, listed);
        ALL.set(Lanes.INT, scratch + ROW, TOGETHER);
        return true;
    }

    private int select(Operands operands, long scratch, long xAt) {
        long x = operands.inAddress(0);
        int n = weight.inputs();
        return switch (selection) {
            case InputSelection.Threshold by -> Selection.threshold(x + xAt, n, by.threshold(), scratch + LIST);
            case InputSelection.ChannelThreshold _ ->
                Selection.thresholds(x + xAt, n, operands.inAddress(2), scratch + LIST);
            case InputSelection.TopK top ->
                TopK.select(x + xAt, 0, n, top.keep(), scratch + selectionAt(), scratch + LIST);
            case InputSelection.WeightedTopK top ->
                TopK.select(x + xAt, operands.inAddress(2), n, top.keep(), scratch + selectionAt(), scratch + LIST);
        };
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = workspace.scratchAddress();
        long w = operands.inAddress(1);
        long y = operands.outAddress(0);
        int rows = operands.inRows(0);
        int row = ALL.get(Lanes.INT, scratch + ROW);
        int listed = ALL.get(Lanes.INT, scratch + LISTED);
        long start = bias ? operands.inAddress(selection.hasOperand() ? 3 : 2) : 0;
        if (weight.chained(rows)) {
            for (int chain = part; chain < weight.chains(); chain += parts) {
                long xAt = 4L * weight.inputs() * row;
                weight.listedChain(
                        w, scratch + LIST, listed, operands.inAddress(0) + xAt, start, chain, scratch + sumsAt());
            }
            return;
        }
        int lo = Parts.begin(weight.outputs(), weight.grain(), part, parts);
        int hi = Parts.begin(weight.outputs(), weight.grain(), part + 1, parts);
        if (row != TOGETHER) {
            long xAt = 4L * weight.inputs() * row;
            long yAt = 4L * weight.outputs() * row;
            weight.listed(w, scratch + LIST, listed, operands.inAddress(0) + xAt, start, y + yAt, lo, hi);
            return;
        }
        long list = listed < weight.inputs() ? scratch + LIST : 0;
        long scratchAt = sumsAt() + keptBytes() + Parts.scratch(weight.partBytes(maxRows), part);
        weight.product(w, list, listed, scratch + sumsAt(), rows, start, y, lo, hi, scratch + scratchAt);
    }
}
