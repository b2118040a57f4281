package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.DEPTH;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

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
            @Nullable MemorySegment index,
            long indexAt,
            MemorySegment a,
            long aAt,
            int m,
            int k,
            MemorySegment w,
            long rowBytes,
            long scalesAt,
            long scaleBytes,
            int n,
            @Nullable MemorySegment bias,
            MemorySegment c,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        assert index == null || order == Layout.Order.COLUMN_MAJOR : "inputs can only be listed where they lie apart";
        Gemm.start(bias, 0, c, 0, m, n, lo, hi);
        for (int o = lo; o < hi; o += Gemm.BLOCK) {
            int width = Math.min(Gemm.BLOCK, hi - o);
            for (int j = 0; j < k; j += DEPTH) {
                int depth = Math.min(DEPTH, k - j);
                if (order == Layout.Order.ROW_MAJOR) {
                    turn(w, rowBytes, scalesAt, scaleBytes, group, o, width, j, depth, scratch, scratchAt);
                } else {
                    long skipped = index == null ? j : 0;
                    Int4.widenColumns(
                            w,
                            skipped * rowBytes,
                            rowBytes,
                            scalesAt + skipped * scaleBytes,
                            scaleBytes,
                            group,
                            index,
                            indexAt + 4L * j,
                            o,
                            width,
                            depth,
                            scratch,
                            scratchAt + Gemm.TURNED_AT,
                            4L * Gemm.BLOCK);
                }
                GemmPack.run(
                        DType.F32,
                        scratch,
                        scratchAt + Gemm.TURNED_AT,
                        4L * Gemm.BLOCK,
                        null,
                        0,
                        depth,
                        width,
                        scratch,
                        scratchAt);
                Gemm.block(a, aAt + 4L * j, m, k, depth, width, c, 4L * o, n, scratch, scratchAt);
            }
        }
    }

    /** Widens a block of a weight stored [out][in], where the panels will be, and turns it. */
    private static void turn(
            MemorySegment w,
            long rowBytes,
            long scalesAt,
            long scaleBytes,
            int group,
            int o,
            int width,
            int j,
            int depth,
            MemorySegment scratch,
            long scratchAt) {
        long pitch = 4L * DEPTH;
        for (int r = 0; r < width; r++) {
            Int4.widenRow(
                    w,
                    (o + r) * rowBytes,
                    scalesAt + (o + r) * scaleBytes,
                    group,
                    j,
                    depth,
                    true,
                    scratch,
                    scratchAt + r * pitch);
        }
        Transposition.run(
                scratch,
                scratchAt,
                pitch,
                width,
                4,
                scratch,
                scratchAt + Gemm.TURNED_AT,
                4L * Gemm.BLOCK,
                0,
                depth,
                scratch,
                scratchAt + Gemm.TURN_AT);
    }
}
