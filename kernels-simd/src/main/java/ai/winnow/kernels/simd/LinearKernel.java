package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/**
 * {@code x [rows, in] -> y [rows, out]} with a bias or without. The outputs are split among the threads. Several rows
 * are multiplied together by {@link Gemm}. Where that does not pay, they come one by one; each slab of a
 * row-major weight is then read once a row, from cache after the first.
 *
 * <p>Scratch: the prepared x of every row, then what each part needs; or which row, and its chains.
 */
record LinearKernel(StoredWeight weight, boolean bias, int maxRows) implements Kernel, Workers.Task {

    private static final long ROW = 0;
    private static final long CHAINS = 64;

    /** Weight bytes that stay in cache while several rows pass over them. */
    private static final long CACHE_BYTES = 1 << 18;

    @Override
    public String name() {
        return weight.name("Linear");
    }

    @Override
    public long workspaceBytes() {
        return Math.max(
                maxRows * weight.preparedBytes() + Parts.scratch(weight.partBytes(maxRows), Parts.MOST),
                CHAINS + weight.chainBytes());
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows == 0) {
            return;
        }
        if (weight.chained(rows)) {
            chains(operands, workspace, rows);
            return;
        }
        long prepared = weight.preparedBytes();
        if (prepared > 0 && !weight.multiplies(rows)) {
            for (int row = 0; row < rows; row++) {
                weight.prepare(
                        operands.inAddress(0) + 4L * weight.inputs() * row,
                        workspace.scratchAddress() + prepared * row);
            }
        }
        int parts = Parts.ofWeight(workspace, weight.bytes() * rows, weight.outputs());
        workspace.workers().run(this, operands, workspace, parts);
    }

    /** Rows of a narrow column-major weight, one by one. */
    private void chains(Operands operands, Workspace workspace, int rows) {
        long scratch = workspace.scratchAddress();
        int parts = Math.min(Parts.ofWeight(workspace, weight.bytes(), weight.outputs()), weight.chains());
        for (int row = 0; row < rows; row++) {
            ALL.set(Lanes.INT, scratch + ROW, row);
            workspace.workers().run(this, operands, workspace, parts);
            weight.addChains(scratch + CHAINS, operands.outAddress(0) + 4L * weight.outputs() * row);
        }
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int rows = operands.inRows(0);
        long start = bias ? operands.inAddress(2) : 0;
        if (weight.chained(rows)) {
            long scratch = workspace.scratchAddress();
            long xAt = 4L * weight.inputs() * ALL.get(Lanes.INT, scratch + ROW);
            for (int chain = part; chain < weight.chains(); chain += parts) {
                weight.denseChain(operands.inAddress(1), operands.inAddress(0) + xAt, start, chain, scratch + CHAINS);
            }
            return;
        }
        int from = Parts.begin(weight.outputs(), weight.grain(), part, parts);
        int to = Parts.begin(weight.outputs(), weight.grain(), part + 1, parts);
        if (weight.multiplies(rows)) {
            weight.product(
                    operands.inAddress(1),
                    operands.inAddress(0),
                    rows,
                    start,
                    operands.outAddress(0),
                    from,
                    to,
                    workspace.scratchAddress()
                            + maxRows * weight.preparedBytes()
                            + Parts.scratch(weight.partBytes(maxRows), part));
            return;
        }
        int slab = rows == 1 || weight.isColumnMajor() ? Math.max(1, to - from) : slab();
        long prepared = weight.preparedBytes();
        long scratchAt = maxRows * prepared + Parts.scratch(weight.partBytes(maxRows), part);
        long x = prepared > 0 ? workspace.scratchAddress() : operands.inAddress(0);
        long rowBytes = prepared > 0 ? prepared : 4L * weight.inputs();
        for (int lo = from; lo < to; lo += slab) {
            int hi = Math.min(lo + slab, to);
            for (int row = 0; row < rows; row++) {
                long yAt = 4L * weight.outputs() * row;
                weight.dense(
                        operands.inAddress(1),
                        x + rowBytes * row,
                        start,
                        operands.outAddress(0) + yAt,
                        lo,
                        hi,
                        workspace.scratchAddress() + scratchAt);
            }
        }
    }

    /** Outputs whose weights fit the cache. */
    private int slab() {
        long outputBytes = Math.max(1, weight.bytes() / weight.outputs());
        return (int) Math.max(Parts.GRAIN, CACHE_BYTES / outputBytes / Parts.GRAIN * Parts.GRAIN);
    }
}
