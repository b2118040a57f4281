package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.DEPTH;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.BitmaskPanel16;
import ai.winnow.tensor.CompressedRows;

/**
 * C[M, N] = A[M, K] * W^T + bias over a weight whose zeros are not stored: blocks of W are expanded to the panels that {@link Gemm} multiplies. So the
 * weight's bytes are saved, not the multiplications; each output is one fma chain over all inputs in ascending order, as if W were dense, and a zero times an
 * input that is not finite is NaN. Traffic: W once, expanded in L2; A and C as in Gemm.
 */
final class SparseGemm {

    private SparseGemm() {}

    /** Outputs {@code lo} to {@code hi}, at multiples of 16 or at the end, of all rows; scratch as for {@link Gemm}. */
    static void run(StoredSparse weight, long a, int m, long w, long bias, long c, int lo, int hi, long scratch) {
        int k = weight.inputs();
        int n = weight.outputs();
        long cursors = scratch + Gemm.TURNED_AT;
        Gemm.start(bias, c, m, n, lo, hi);
        for (int o = lo; o < hi; o += Gemm.BLOCK) {
            int width = Math.min(Gemm.BLOCK, hi - o);
            int unit = o / weight.unit();
            int units = (width + weight.unit() - 1) / weight.unit();
            for (int u = 0; u < units; u++) { // how far each has been read
                ALL.set(LONG, cursors + 8L * u, ALL.get(LONG, w + 8L * (unit + u)));
            }
            for (int j = 0; j < k; j += DEPTH) {
                int depth = Math.min(DEPTH, k - j);
                expand(weight, w, unit, units, j, depth, cursors, scratch);
                Gemm.block(a + 4L * j, m, k, depth, width, c + 4L * o, n, scratch);
            }
        }
    }

    /** Inputs {@code j} to {@code j + depth} of some units, and moves their cursors on. */
    private static void expand(
            StoredSparse weight, long w, int unit, int units, int j, int depth, long cursors, long panels) {
        if (!(weight.layout() instanceof BitmaskPanel16)) {
            int whole = (units * weight.unit() + WIDTH - 1) / WIDTH;
            Lanes.zero(panels, whole * WIDTH * depth);
        }
        for (int u = 0; u < units; u++) {
            long cursor = ALL.get(LONG, cursors + 8L * u);
            long next =
                    switch (weight.layout()) {
                        case BitmaskPanel16 _ ->
                            SparseExpansion.masks(
                                    weight.type(),
                                    w + weight.indexAt() + (unit + u) * weight.maskPitch() + 2L * j,
                                    w + weight.valuesAt(),
                                    cursor,
                                    depth,
                                    panels,
                                    u * BitmaskPanel16.ROWS);
                        case CompressedRows _ ->
                            SparseExpansion.row(
                                    weight.type(),
                                    w + weight.indexAt(),
                                    w + weight.valuesAt(),
                                    cursor,
                                    ALL.get(LONG, w + 8L * (unit + u + 1)),
                                    j,
                                    depth,
                                    panels,
                                    u);
                        default ->
                            SparseExpansion.blocks(
                                    weight.type(),
                                    w + weight.indexAt(),
                                    w + weight.valuesAt(),
                                    cursor,
                                    ALL.get(LONG, w + 8L * (unit + u + 1)),
                                    j,
                                    depth,
                                    panels,
                                    u * BitmaskPanel16.ROWS);
                    };
            ALL.set(LONG, cursors + 8L * u, next);
        }
    }
}
