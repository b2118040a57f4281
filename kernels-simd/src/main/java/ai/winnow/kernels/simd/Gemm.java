package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.A_PITCH;
import static ai.winnow.kernels.simd.GemmTile.DEPTH;
import static ai.winnow.kernels.simd.GemmTile.VECTOR;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

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

    /**
     * Up to so many rows reading W takes longer than multiplying with it, or nearly. Its blocks are wide and shallow then, of the same size: long pieces of an
     * input's weights come faster from memory, and a panel of few inputs stays in L1. 2048 -> 8192, f32, one thread (Zen 4): 2 rows 5.8 ms in blocks of
     * 256 x 256, 4.0 in blocks of 64 x 1024; 8 rows 8.2 and 6.1; 32 rows 19.0 and 14.6; 48 rows 20.3 and 21.0, since C is read more often.
     */
    private static final int FEW_ROWS = 32;

    private static final int WIDE = 4;

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
     * @param index the int32 inputs of W, in ascending order, that the columns of A belong to; 0 for all. W [K][N] only
     * @param scales f32 [N] for int8, else 0
     * @param scratch {@link #SCRATCH_BYTES} bytes for this call alone
     */
    public static void run(
            DType type,
            Layout.Order order,
            long a,
            int m,
            int k,
            long w,
            int n,
            long index,
            long scales,
            long bias,
            long c,
            int lo,
            int hi,
            long scratch) {
        start(scales == 0 ? bias : 0, c, m, n, lo, hi);
        boolean turn = order == Layout.Order.ROW_MAJOR;
        assert index == 0 || !turn : "inputs can only be listed where they lie apart";
        int outputs = turn ? BLOCK : blockOutputs(m);
        int inputs = turn ? DEPTH : blockInputs(m);
        for (int o = lo; o < hi; o += outputs) {
            int width = Math.min(outputs, hi - o);
            for (int j = 0; j < k; j += inputs) {
                int depth = Math.min(inputs, k - j);
                if (turn) {
                    packTurned(type, w + type.bytes((long) o * k + j), type.bytes(k), depth, width, scratch);
                } else {
                    long rowBytes = type.bytes(n);
                    long from = w + type.bytes(o) + (index == 0 ? j * rowBytes : 0);
                    GemmPack.run(type, from, rowBytes, Memory.orNone(index, 4L * j), depth, width, scratch);
                }
                block(a + 4L * j, m, k, depth, width, c + 4L * o, n, scratch);
            }
        }
        if (scales != 0) {
            finish(scales, bias, c, m, n, lo, hi);
        }
    }

    /** Outputs of a block of a column-major weight. */
    static int blockOutputs(int m) {
        return m <= FEW_ROWS ? WIDE * BLOCK : BLOCK;
    }

    /** Inputs of a block of a column-major weight. */
    static int blockInputs(int m) {
        return m <= FEW_ROWS ? DEPTH / WIDE : DEPTH;
    }

    /**
     * Multiplies a packed block with all rows of A: C[m, width] += A[m, depth] * panels. A panel stays in L1 while some rows pass over it, whose inputs are in
     * L2 by then.
     */
    static void block(long a, int m, int k, int depth, int width, long c, int n, long scratch) {
        for (int top = 0; top < m; top += CHUNK) {
            int bottom = Math.min(m, top + CHUNK);
            copyRows(a + 4L * top * k, 4L * k, bottom - top, depth, scratch + ROWS_AT);
            for (int p = 0; p < width; p += WIDTH) {
                boolean edge = p + WIDTH > width;
                for (int r = top; r < bottom; ) {
                    int rows = GemmTile.rows(bottom - r);
                    long to = c + 4L * r * n + 4L * p;
                    if (edge) {
                        copyEdge(to, 4L * n, scratch + EDGE_AT, 2 * VECTOR, rows, width - p);
                    }
                    GemmTile.run(
                            rows,
                            scratch + 4L * depth * p,
                            depth,
                            scratch + ROWS_AT + (r - top) * A_PITCH,
                            edge ? scratch + EDGE_AT : to,
                            edge ? 2 * VECTOR : 4L * n);
                    if (edge) {
                        copyEdge(scratch + EDGE_AT, 2 * VECTOR, to, 4L * n, rows, width - p);
                    }
                    r += rows;
                }
            }
        }
    }

    /** Packs a block of a weight stored [out][in]: turned in its own type first. */
    private static void packTurned(DType type, long w, long rowBytes, int depth, int width, long scratch) {
        int elementBytes = type.bits() / 8;
        long turnedRow = (long) BLOCK * elementBytes;
        Transposition.run(
                w, rowBytes, width, elementBytes, scratch + TURNED_AT, turnedRow, 0, depth, scratch + TURN_AT);
        GemmPack.run(type, scratch + TURNED_AT, turnedRow, 0, depth, width, scratch);
    }

    /** Outputs lo..hi of all rows start as the bias, or as zero. */
    static void start(long bias, long c, int m, int n, int lo, int hi) {
        for (int r = 0; r < m; r++) {
            long to = c + 4L * ((long) r * n + lo);
            if (bias == 0) {
                Lanes.zero(to, hi - lo);
            } else {
                MemorySegment.copy(ALL, bias + 4L * lo, ALL, to, 4L * (hi - lo));
            }
        }
    }

    /** C = C * scale + bias. */
    private static void finish(long scales, long bias, long c, int m, int n, int lo, int hi) {
        for (int r = 0; r < m; r++) {
            long row = c + 4L * r * n;
            for (int o = lo; o < hi; o += COUNT) {
                var mask = F.indexInRange(o, hi);
                FloatVector scale = FloatVector.fromMemorySegment(F, ALL, scales + 4L * o, LE, mask);
                FloatVector start = bias == 0
                        ? FloatVector.zero(F)
                        : FloatVector.fromMemorySegment(F, ALL, bias + 4L * o, LE, mask);
                FloatVector.fromMemorySegment(F, ALL, row + 4L * o, LE, mask)
                        .fma(scale, start)
                        .intoMemorySegment(ALL, row + 4L * o, LE, mask);
            }
        }
    }

    /** Copies {@code depth} inputs of some rows of A to scratch: straight from A, whose rows may be a power of two apart, they would evict one another. */
    private static void copyRows(long a, long aPitch, int rows, int depth, long scratch) {
        for (int r = 0; r < rows; r++) {
            long from = a + r * aPitch;
            long to = scratch + r * A_PITCH;
            int k = 0;
            for (; k + COUNT <= depth; k += COUNT) {
                FloatVector.fromMemorySegment(F, ALL, from + 4L * k, LE).intoMemorySegment(ALL, to + 4L * k, LE);
            }
            for (; k < depth; k++) {
                ALL.set(FLOAT, to + 4L * k, ALL.get(FLOAT, from + 4L * k));
            }
        }
    }

    private static void copyEdge(long source, long sourcePitch, long target, long targetPitch, int rows, int width) {
        for (int r = 0; r < rows; r++) {
            MemorySegment.copy(ALL, source + r * sourcePitch, ALL, target + r * targetPitch, 4L * width);
        }
    }
}
