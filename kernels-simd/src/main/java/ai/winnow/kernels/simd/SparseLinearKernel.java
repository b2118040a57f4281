package ai.winnow.kernels.simd;

import ai.winnow.ir.InputSelection;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * {@code x [rows, in] -> y [rows, out]} from the selected inputs of each row: the list is made once by the calling thread, then the
 * outputs are split. Only the weights of listed inputs are read; a full list gives the bits of {@link LinearKernel}.
 *
 * <p>Scratch: the row and the length of its list; the list; what the selection needs; the chains of a row.
 */
record SparseLinearKernel(StoredWeight weight, InputSelection selection, boolean bias) implements Kernel, Workers.Task {

    private static final long ROW = 0;
    private static final long LISTED = 4;
    private static final long LIST = 64;

    @Override
    public String name() {
        return weight.name("SparseLinear");
    }

    @Override
    public long workspaceBytes() {
        return chainsAt() + weight.chainBytes();
    }

    private long chainsAt() {
        return selectionAt() + Tensor.align(TopK.scratchBytes(weight.inputs()));
    }

    private long selectionAt() {
        return LIST + Tensor.align(4L * (weight.inputs() + Selection.SLACK));
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        MemorySegment scratch = workspace.scratch();
        for (int row = 0; row < rows; row++) {
            int listed = select(operands, scratch, 4L * weight.inputs() * row);
            scratch.set(Lanes.INT, ROW, row);
            scratch.set(Lanes.INT, LISTED, listed);
            long bytes = weight.bytesOf(listed);
            int parts = Parts.ofWeight(workspace, bytes, weight.outputs());
            boolean chained = weight.chained(rows);
            workspace.workers().run(this, operands, workspace, chained ? Math.min(parts, weight.chains()) : parts);
            if (chained) {
                weight.addChains(scratch, chainsAt(), operands.out(0), 4L * weight.outputs() * row);
            }
        }
    }

    private int select(Operands operands, MemorySegment scratch, long xAt) {
        MemorySegment x = operands.in(0);
        int n = weight.inputs();
        return switch (selection) {
            case InputSelection.Threshold by -> Selection.threshold(x, xAt, n, by.threshold(), scratch, LIST);
            case InputSelection.ChannelThreshold _ -> Selection.thresholds(x, xAt, n, operands.in(2), 0, scratch, LIST);
            case InputSelection.TopK top ->
                TopK.select(x, xAt, null, 0, n, top.keep(), scratch, selectionAt(), scratch, LIST);
            case InputSelection.WeightedTopK top ->
                TopK.select(x, xAt, operands.in(2), 0, n, top.keep(), scratch, selectionAt(), scratch, LIST);
        };
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        MemorySegment scratch = workspace.scratch();
        int row = scratch.get(Lanes.INT, ROW);
        int listed = scratch.get(Lanes.INT, LISTED);
        @Nullable MemorySegment start = bias ? operands.in(selection.hasOperand() ? 3 : 2) : null;
        long xAt = 4L * weight.inputs() * row;
        if (weight.chained(operands.inRows(0))) {
            for (int chain = part; chain < weight.chains(); chain += parts) {
                weight.listedChain(
                        operands.in(1), scratch, LIST, listed, operands.in(0), xAt, start, chain, scratch, chainsAt());
            }
            return;
        }
        int lo = Parts.begin(weight.outputs(), weight.grain(), part, parts);
        int hi = Parts.begin(weight.outputs(), weight.grain(), part + 1, parts);
        long yAt = 4L * weight.outputs() * row;
        weight.listed(operands.in(1), scratch, LIST, listed, operands.in(0), xAt, start, operands.out(0), yAt, lo, hi);
    }
}
