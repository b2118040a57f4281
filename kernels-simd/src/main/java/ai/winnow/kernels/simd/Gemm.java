package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.A_PITCH;
import static ai.winnow.kernels.simd.GemmTile.DEPTH;
import static ai.winnow.kernels.simd.GemmTile.VECTOR;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * C[M, N] = A[M, K] * W^T + bias: a linear layer over several rows. W [N, K] is f32, bf16, f16 (no infinities, no NaN) or int8 with one f32 scale an output;
 * stored [K][N] or [N][K]. A, C and bias are f32, rows side by side.
 *
 * <p>Each output is one fma chain over the inputs in ascending order, started by the bias; int8 starts at zero and ends with one fma of scale and bias. So a
 * row has the bits of the column-major matrix-vector kernels, whatever M and however the outputs are split.
 *
 * <p>Blocks of W, {@link GemmTile#DEPTH} inputs by {@link #BLOCK} outputs, are widened and packed to panels in L2; the rows of A that belong to them pass
 * over the panels in register tiles. Traffic: W once, A once for each {@link #BLOCK} outputs and C once for each {@code DEPTH} inputs, both from L2 or L3.
 */
public final class Gemm {

    /** Outputs of a block. */
    static final int BLOCK = 256;

    /** Rows of A that are copied at once: some tiles. They and a block of W share L2. */
    private static final int CHUNK = 48;

    private static final long ROWS_AT = 4L * DEPTH * BLOCK;
    private static final long EDGE_AT = ROWS_AT + CHUNK * A_PITCH;
    static final long TURNED_AT = EDGE_AT + GemmTile.ROWS * 2 * VECTOR;
    static final long TURN_AT = TURNED_AT + 4L * DEPTH * BLOCK;

    /** Scratch memory of a call, whatever the shape: a multiple of 64. */
    public static final long SCRATCH_BYTES = TURN_AT + Transposition.SCRATCH_BYTES;

    private Gemm() {}

    /**
     * Outputs {@code lo} to {@code hi} of all rows. Ranges at multiples of 64 keep the panels whole; any others give the same bits.
     *
     * @param order COLUMN_MAJOR if W is stored [K][N]
     * @param k inputs, or how many of them are listed
     * @param index the int32 inputs of W, in ascending order, that the columns of A belong to; null for all. W [K][N] only
     * @param scales f32 [N] for int8, else null
     * @param scratch {@link #SCRATCH_BYTES} from {@code scratchAt} on, for this call alone
     */
    public static void run(
            DType type,
            Layout.Order order,
            MemorySegment a,
            long aAt,
            int m,
            int k,
            MemorySegment w,
            long wAt,
            int n,
            @Nullable MemorySegment index,
            long indexAt,
            @Nullable MemorySegment scales,
            long scalesAt,
            @Nullable MemorySegment bias,
            long biasAt,
            MemorySegment c,
            long cAt,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        start(scales == null ? bias : null, biasAt, c, cAt, m, n, lo, hi);
        boolean turn = order == Layout.Order.ROW_MAJOR;
        assert index == null || !turn : "inputs can only be listed where they lie apart";
        for (int o = lo; o < hi; o += BLOCK) {
            int width = Math.min(BLOCK, hi - o);
            for (int j = 0; j < k; j += DEPTH) {
                int depth = Math.min(DEPTH, k - j);
                if (turn) {
                    packTurned(
                            type,
                            w,
                            wAt + type.bytes((long) o * k + j),
                            type.bytes(k),
                            depth,
                            width,
                            scratch,
                            scratchAt);
                } else {
                    long rowBytes = type.bytes(n);
                    long from = wAt + type.bytes(o) + (index == null ? j * rowBytes : 0);
                    GemmPack.run(type, w, from, rowBytes, index, indexAt + 4L * j, depth, width, scratch, scratchAt);
                }
                block(a, aAt + 4L * j, m, k, depth, width, c, cAt + 4L * o, n, scratch, scratchAt);
            }
        }
        if (scales != null) {
            finish(scales, scalesAt, bias, biasAt, c, cAt, m, n, lo, hi);
        }
    }

    /**
     * Multiplies a packed block with all rows of A: C[m, width] += A[m, depth] * panels. A panel stays in L1 while some rows pass over it, whose inputs are in
     * L2 by then.
     */
    static void block(
            MemorySegment a,
            long aAt,
            int m,
            int k,
            int depth,
            int width,
            MemorySegment c,
            long cAt,
            int n,
            MemorySegment scratch,
            long scratchAt) {
        for (int top = 0; top < m; top += CHUNK) {
            int bottom = Math.min(m, top + CHUNK);
            copyRows(a, aAt + 4L * top * k, 4L * k, bottom - top, depth, scratch, scratchAt + ROWS_AT);
            for (int p = 0; p < width; p += WIDTH) {
                boolean edge = p + WIDTH > width;
                for (int r = top; r < bottom; ) {
                    int rows = GemmTile.rows(bottom - r);
                    long to = cAt + 4L * r * n + 4L * p;
                    if (edge) {
                        copyEdge(c, to, 4L * n, scratch, scratchAt + EDGE_AT, 2 * VECTOR, rows, width - p);
                    }
                    GemmTile.run(
                            rows,
                            scratch,
                            scratchAt + 4L * depth * p,
                            depth,
                            scratch,
                            scratchAt + ROWS_AT + (r - top) * A_PITCH,
                            edge ? scratch : c,
                            edge ? scratchAt + EDGE_AT : to,
                            edge ? 2 * VECTOR : 4L * n);
                    if (edge) {
                        copyEdge(scratch, scratchAt + EDGE_AT, 2 * VECTOR, c, to, 4L * n, rows, width - p);
                    }
                    r += rows;
                }
            }
        }
    }

    /** Packs a block of a weight stored [out][in]: turned in its own type first. */
    private static void packTurned(
            DType type,
            MemorySegment w,
            long wAt,
            long rowBytes,
            int depth,
            int width,
            MemorySegment scratch,
            long scratchAt) {
        int elementBytes = type.bits() / 8;
        long turnedRow = (long) BLOCK * elementBytes;
        Transposition.run(
                w,
                wAt,
                rowBytes,
                width,
                elementBytes,
                scratch,
                scratchAt + TURNED_AT,
                turnedRow,
                0,
                depth,
                scratch,
                scratchAt + TURN_AT);
        GemmPack.run(type, scratch, scratchAt + TURNED_AT, turnedRow, null, 0, depth, width, scratch, scratchAt);
    }

    /** Outputs lo..hi of all rows start as the bias, or as zero. */
    static void start(
            @Nullable MemorySegment bias, long biasAt, MemorySegment c, long cAt, int m, int n, int lo, int hi) {
        for (int r = 0; r < m; r++) {
            long to = cAt + 4L * ((long) r * n + lo);
            if (bias == null) {
                Lanes.zero(c, to, hi - lo);
            } else {
                MemorySegment.copy(bias, biasAt + 4L * lo, c, to, 4L * (hi - lo));
            }
        }
    }

    /** C = C * scale + bias. */
    private static void finish(
            MemorySegment scales,
            long scalesAt,
            @Nullable MemorySegment bias,
            long biasAt,
            MemorySegment c,
            long cAt,
            int m,
            int n,
            int lo,
            int hi) {
        for (int r = 0; r < m; r++) {
            long row = cAt + 4L * r * n;
            for (int o = lo; o < hi; o += COUNT) {
                var mask = F.indexInRange(o, hi);
                FloatVector scale = FloatVector.fromMemorySegment(F, scales, scalesAt + 4L * o, LE, mask);
                FloatVector start = bias == null
                        ? FloatVector.zero(F)
                        : FloatVector.fromMemorySegment(F, bias, biasAt + 4L * o, LE, mask);
                FloatVector.fromMemorySegment(F, c, row + 4L * o, LE, mask)
                        .fma(scale, start)
                        .intoMemorySegment(c, row + 4L * o, LE, mask);
            }
        }
    }

    /** Copies {@code depth} inputs of some rows of A to scratch: straight from A, whose rows may be a power of two apart, they would evict one another. */
    private static void copyRows(
            MemorySegment a, long aAt, long aPitch, int rows, int depth, MemorySegment scratch, long scratchAt) {
        for (int r = 0; r < rows; r++) {
            long from = aAt + r * aPitch;
            long to = scratchAt + r * A_PITCH;
            int k = 0;
            for (; k + COUNT <= depth; k += COUNT) {
                FloatVector.fromMemorySegment(F, a, from + 4L * k, LE).intoMemorySegment(scratch, to + 4L * k, LE);
            }
            for (; k < depth; k++) {
                scratch.set(FLOAT, to + 4L * k, a.get(FLOAT, from + 4L * k));
            }
        }
    }

    private static void copyEdge(
            MemorySegment source,
            long sourceAt,
            long sourcePitch,
            MemorySegment target,
            long targetAt,
            long targetPitch,
            int rows,
            int width) {
        for (int r = 0; r < rows; r++) {
            MemorySegment.copy(source, sourceAt + r * sourcePitch, target, targetAt + r * targetPitch, 4L * width);
        }
    }
}
