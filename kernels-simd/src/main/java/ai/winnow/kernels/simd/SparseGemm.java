package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.DEPTH;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.LONG;

import ai.winnow.tensor.BitmaskPanel16;
import ai.winnow.tensor.CompressedRows;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * C[M, N] = A[M, K] * W^T + bias over a weight whose zeros are not stored: blocks of W are expanded to the panels that {@link Gemm} multiplies. So the
 * weight's bytes are saved, not the multiplications; each output is one fma chain over all inputs in ascending order, as if W were dense, and a zero times an
 * input that is not finite is NaN. Traffic: W once, expanded in L2; A and C as in Gemm.
 */
final class SparseGemm {

    private SparseGemm() {}

    /** Outputs {@code lo} to {@code hi}, at multiples of 16 or at the end, of all rows; scratch as for {@link Gemm}. */
    static void run(
            StoredSparse weight,
            MemorySegment a,
            int m,
            MemorySegment w,
            @Nullable MemorySegment bias,
            MemorySegment c,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        int k = weight.inputs();
        int n = weight.outputs();
        long cursors = scratchAt + Gemm.TURNED_AT;
        Gemm.start(bias, 0, c, 0, m, n, lo, hi);
        for (int o = lo; o < hi; o += Gemm.BLOCK) {
            int width = Math.min(Gemm.BLOCK, hi - o);
            int unit = o / weight.unit();
            int units = (width + weight.unit() - 1) / weight.unit();
            for (int u = 0; u < units; u++) { // how far each has been read
                scratch.set(LONG, cursors + 8L * u, w.get(LONG, 8L * (unit + u)));
            }
            for (int j = 0; j < k; j += DEPTH) {
                int depth = Math.min(DEPTH, k - j);
                expand(weight, w, unit, units, j, depth, cursors, scratch, scratchAt);
                Gemm.block(a, 4L * j, m, k, depth, width, c, 4L * o, n, scratch, scratchAt);
            }
        }
    }

    /** Inputs {@code j} to {@code j + depth} of some units, and moves their cursors on. */
    private static void expand(
            StoredSparse weight,
            MemorySegment w,
            int unit,
            int units,
            int j,
            int depth,
            long cursors,
            MemorySegment panels,
            long panelsAt) {
        if (!(weight.layout() instanceof BitmaskPanel16)) {
            int whole = (units * weight.unit() + WIDTH - 1) / WIDTH;
            Lanes.zero(panels, panelsAt, whole * WIDTH * depth);
        }
        for (int u = 0; u < units; u++) {
            long cursor = panels.get(LONG, cursors + 8L * u);
            long next =
                    switch (weight.layout()) {
                        case BitmaskPanel16 _ ->
                            SparseExpansion.masks(
                                    weight.type(),
                                    w,
                                    weight.indexAt() + (unit + u) * weight.maskPitch() + 2L * j,
                                    weight.valuesAt(),
                                    cursor,
                                    depth,
                                    panels,
                                    panelsAt,
                                    u * BitmaskPanel16.ROWS);
                        case CompressedRows _ ->
                            SparseExpansion.row(
                                    weight.type(),
                                    w,
                                    weight.indexAt(),
                                    weight.valuesAt(),
                                    cursor,
                                    w.get(LONG, 8L * (unit + u + 1)),
                                    j,
                                    depth,
                                    panels,
                                    panelsAt,
                                    u);
                        default ->
                            SparseExpansion.blocks(
                                    weight.type(),
                                    w,
                                    weight.indexAt(),
                                    weight.valuesAt(),
                                    cursor,
                                    w.get(LONG, 8L * (unit + u + 1)),
                                    j,
                                    depth,
                                    panels,
                                    panelsAt,
                                    u * BitmaskPanel16.ROWS);
                    };
            panels.set(LONG, cursors + 8L * u, next);
        }
    }
}
