package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.CosineReduce;
import ai.winnow.ir.CosineReduce.Reduction;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;

/**
 * Cosines of the rows of {@code a [m, width]} with those of {@code b [n, width]}, or with the others of a. Some rows of a are
 * multiplied with a block of b by {@link Gemm}; the products stay in cache until {@link Cosines} has taken what it needs of them.
 * Traffic: a once, b once for each part and each {@link #ROWS} rows of it.
 *
 * <p>Scratch of a part: what Gemm needs; the products; the inverse norms of b; what is known of each row so far.
 */
record CosineReduceKernel(CosineReduce op, int width, int maxRows, int maxOthers) implements Kernel, Workers.Task {

    /** Rows of a that pass over b together: their products with a block fill half of L2. */
    private static final int ROWS = 528;

    /** Rows of a are cut at multiples of this: of tiles. */
    private static final int GRAIN = 48;

    private static final long PRODUCTS_AT = Tensor.align(Gemm.SCRATCH_BYTES);

    @Override
    public String name() {
        return "F32CosineReduce " + op.reduction();
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(partBytes(), Parts.MOST);
    }

    private long partBytes() {
        return normsAt() + 4L * (maxOthers + Gemm.BLOCK);
    }

    private int together() {
        return Math.min(ROWS, maxRows);
    }

    private long stateAt(int row) {
        return PRODUCTS_AT + 4L * together() * Gemm.BLOCK + Cosines.STATE_BYTES * row;
    }

    private long normsAt() {
        return stateAt(together());
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        long products = (long) rows * operands.inRows(b()) * width;
        int parts = Parts.count(workspace, Math.min(products / Parts.ELEMENTS, rows / GRAIN), 1);
        workspace.workers().run(this, operands, workspace, parts);
    }

    /** Which input the rows of a meet. */
    private int b() {
        return op.others() ? 0 : 1;
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = workspace.scratchAddress() + Parts.scratch(partBytes(), part);
        int n = operands.inRows(b());
        Cosines.inverseNorms(operands.inAddress(b()), n, width, scratch + normsAt());
        int rows = operands.inRows(0);
        int to = Parts.begin(rows, GRAIN, part + 1, parts);
        for (int row = Parts.begin(rows, GRAIN, part, parts); row < to; row += ROWS) {
            some(operands, row, Math.min(ROWS, to - row), n, scratch);
        }
    }

    private void some(Operands operands, int first, int rows, int n, long scratch) {
        long a = operands.inAddress(0);
        for (int row = 0; row < rows; row++) {
            Cosines.start(op.reduction(), Cosines.inverseNorm(a, first + row, width), scratch + stateAt(row));
        }
        for (int from = 0; from < n; from += Gemm.BLOCK) {
            int count = Math.min(Gemm.BLOCK, n - from);
            multiply(a, first, rows, operands.inAddress(b()), from, count, scratch);
            for (int row = 0; row < rows; row++) {
                int self = op.others() ? first + row - from : -1;
                boolean inside = 0 <= self && self < count;
                take(row, from, 0, inside ? self : count, scratch);
                if (inside) {
                    take(row, from, self + 1, count, scratch);
                }
            }
        }
        for (int row = 0; row < rows; row++) {
            finish(operands, first + row, scratch + stateAt(row));
        }
    }

    private void multiply(long a, int first, int rows, long b, int from, int count, long scratch) {
        Gemm.run(
                DType.F32,
                Layout.Order.ROW_MAJOR,
                a + 4L * first * width,
                rows,
                width,
                b + 4L * from * width,
                Gemm.BLOCK,
                0,
                0,
                0,
                scratch + PRODUCTS_AT,
                0,
                count,
                scratch);
    }

    /** Takes the products {@code lo} to {@code hi} of a block. */
    private void take(int row, int from, int lo, int hi, long scratch) {
        long products = scratch + PRODUCTS_AT + 4L * Gemm.BLOCK * row;
        long norms = scratch + normsAt() + 4L * from;
        long state = scratch + stateAt(row);
        switch (op.reduction()) {
            case Reduction.Greatest _ -> Cosines.greatest(products, norms, lo, hi, from, state);
            case Reduction.CountAbove(float threshold) -> Cosines.countAbove(products, norms, lo, hi, threshold, state);
            case Reduction.Sum _ -> Cosines.sum(products, norms, lo, hi, state);
        }
    }

    private void finish(Operands operands, int row, long state) {
        switch (op.reduction()) {
            case Reduction.Greatest _ ->
                Cosines.finishGreatest(state, operands.outAddress(0), operands.outAddress(1), 4L * row);
            case Reduction.CountAbove _ ->
                ALL.set(Lanes.INT, operands.outAddress(0) + 4L * row, ALL.get(Lanes.INT, state + Cosines.COUNT_AT));
            case Reduction.Sum _ -> ALL.set(Lanes.FLOAT, operands.outAddress(0) + 4L * row, Cosines.finishSum(state));
        }
    }
}
