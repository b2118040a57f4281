package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.DEPTH;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;

/**
 * C[M, N] = A[M, K] * W^T + bias, W [N, K] int4 with scales of groups: {@link Gemm} on weights that are widened block by block to f32, scale included, before
 * they are packed to panels. A weight is its element times its scale, rounded, and each output one fma chain over the inputs in ascending order, started by
 * the bias: the bits of {@link Int4ColumnLinear}.
 */
final class Int4Gemm {

    private Int4Gemm() {}

    /**
     * Outputs {@code lo} to {@code hi} of all rows; {@code lo} is a multiple of 32. Scratch as {@link Gemm#SCRATCH_BYTES} says.
     *
     * @param k inputs, or how many of them are listed
     * @param index as in {@link Gemm#run}
     */
    static void run(
            Layout.Order order,
            int group,
            long index,
            long a,
            int m,
            int k,
            long w,
            long rowBytes,
            long scales,
            long scaleBytes,
            int n,
            long bias,
            long c,
            int lo,
            int hi,
            long scratch) {
        assert index == 0 || order == Layout.Order.COLUMN_MAJOR : "inputs can only be listed where they lie apart";
        Gemm.start(bias, c, m, n, lo, hi);
        for (int o = lo; o < hi; o += Gemm.BLOCK) {
            int width = Math.min(Gemm.BLOCK, hi - o);
            for (int j = 0; j < k; j += DEPTH) {
                int depth = Math.min(DEPTH, k - j);
                if (order == Layout.Order.ROW_MAJOR) {
                    turn(w, rowBytes, scales, scaleBytes, group, o, width, j, depth, scratch);
                } else {
                    long skipped = index == 0 ? j : 0;
                    Int4.widenColumns(
                            w + skipped * rowBytes,
                            rowBytes,
                            scales + skipped * scaleBytes,
                            scaleBytes,
                            group,
                            Memory.orNone(index, 4L * j),
                            o,
                            width,
                            depth,
                            scratch + Gemm.TURNED_AT,
                            4L * Gemm.BLOCK);
                }
                GemmPack.run(DType.F32, scratch + Gemm.TURNED_AT, 4L * Gemm.BLOCK, 0, depth, width, scratch);
                Gemm.block(a + 4L * j, m, k, depth, width, c + 4L * o, n, scratch);
            }
        }
    }

    /** Widens a block of a weight stored [out][in], where the panels will be, and turns it. */
    private static void turn(
            long w,
            long rowBytes,
            long scales,
            long scaleBytes,
            int group,
            int o,
            int width,
            int j,
            int depth,
            long scratch) {
        long pitch = 4L * DEPTH;
        for (int r = 0; r < width; r++) {
            Int4.widenRow(
                    w + (o + r) * rowBytes, scales + (o + r) * scaleBytes, group, j, depth, true, scratch + r * pitch);
        }
        Transposition.run(
                scratch, pitch, width, 4, scratch + Gemm.TURNED_AT, 4L * Gemm.BLOCK, 0, depth, scratch + Gemm.TURN_AT);
    }
}
