package ai.winnow.kernels.simd;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;

/**
 * {@code x [rows, in] -> y [rows, out]} with a bias or without, over a weight whose zeros are not stored. The outputs are split
 * among the threads at panels or rows of the weight, so that bits do not depend on their number. A few rows come one by one over a
 * piece of the weight that stays in cache; more are multiplied by {@link SparseGemm}.
 *
 * <p>Scratch: for each part, sums or what the product needs.
 */
record SparseWeightKernel(StoredSparse weight, boolean bias, int maxRows) implements Kernel, Workers.Task {

    /** Weight bytes that stay in cache while several rows pass over them. */
    private static final long CACHE_BYTES = 1 << 18;

    @Override
    public String name() {
        return weight.name("Linear");
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(partBytes(), Parts.MOST);
    }

    private long partBytes() {
        return weight.multiplies(maxRows) ? Gemm.SCRATCH_BYTES : StoredSparse.SUMS_BYTES;
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows > 0) {
            int parts = Parts.ofWeight(workspace, weight.bytes() * rows, weight.outputs());
            workspace.workers().run(this, operands, workspace, parts);
        }
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int rows = operands.inRows(0);
        long start = bias ? operands.inAddress(2) : 0;
        long w = operands.inAddress(1);
        if (weight.multiplies(rows)) {
            SparseGemm.run(
                    weight,
                    operands.inAddress(0),
                    rows,
                    w,
                    start,
                    operands.outAddress(0),
                    Parts.begin(weight.outputs(), Parts.GRAIN, part, parts),
                    Parts.begin(weight.outputs(), Parts.GRAIN, part + 1, parts),
                    workspace.scratchAddress() + Parts.scratch(partBytes(), part));
            return;
        }
        int last = weight.begin(w, part + 1, parts);
        int step = rows == 1 ? Math.max(1, weight.units()) : slab();
        for (int from = weight.begin(w, part, parts); from < last; from += step) {
            for (int row = 0; row < rows; row++) {
                weight.dense(
                        w,
                        operands.inAddress(0) + 4L * weight.inputs() * row,
                        start,
                        operands.outAddress(0) + 4L * weight.outputs() * row,
                        from,
                        Math.min(from + step, last),
                        workspace.scratchAddress() + Parts.scratch(partBytes(), part));
            }
        }
    }

    /** Units of the weight that fit the cache. */
    private int slab() {
        return (int) Math.max(4, Math.min(CACHE_BYTES * weight.units() / weight.bytes(), weight.units()) / 4 * 4);
    }
}
