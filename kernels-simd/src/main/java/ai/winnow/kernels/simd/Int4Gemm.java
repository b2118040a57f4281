package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.DEPTH;
import static ai.winnow.kernels.simd.GemmTile.VECTOR;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.BYTE;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.QUARTER;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

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
        boolean turn = order == Layout.Order.ROW_MAJOR;
        int outputs = turn ? Gemm.BLOCK : Gemm.blockOutputs(m);
        int inputs = turn ? DEPTH : Gemm.blockInputs(m);
        for (int o = lo; o < hi; o += outputs) {
            int width = Math.min(outputs, hi - o);
            for (int j = 0; j < k; j += inputs) {
                int depth = Math.min(inputs, k - j);
                if (turn) {
                    packTurned(w, rowBytes, scales, scaleBytes, group, o, width, j, depth, scratch);
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
                            4L * outputs);
                    GemmPack.run(DType.F32, scratch + Gemm.TURNED_AT, 4L * outputs, 0, depth, width, scratch);
                }
                Gemm.block(a + 4L * j, m, k, depth, width, c + 4L * o, n, scratch);
            }
        }
    }

    /** Turns a block of a weight stored [out][in] as it lies, two inputs a byte, and widens it into panels. Outputs that fill up the last panel are zero. */
    private static void packTurned(
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
        long bytes = scratch + Gemm.TURNED_AT;
        long block = w + o * rowBytes + j / 2;
        Transposition.run(block, rowBytes, width, 1, bytes, Gemm.BLOCK, 0, (depth + 1) / 2, scratch + Gemm.TURN_AT);
        long groupScales = bytes + Gemm.BLOCK * (DEPTH / 2L);
        int filled = (width + WIDTH - 1) / WIDTH * WIDTH;
        for (int from = 0; from < depth; from += group) {
            int to = Math.min(depth, from + group);
            long scale = scales + o * scaleBytes + 4L * ((j + from) / group);
            for (int r = 0; r < filled; r++) {
                ALL.set(FLOAT, groupScales + 4L * r, r < width ? ALL.get(FLOAT, scale + r * scaleBytes) : 0f);
            }
            for (int p = 0; p < filled; p += WIDTH) {
                long panel = scratch + 4L * depth * p;
                widenPanel(bytes + p, groupScales + 4L * p, from, to & -2, panel);
                if (to % 2 != 0) {
                    widenLast(bytes + p, groupScales + 4L * p, to - 1, panel);
                }
            }
        }
    }

    /** Inputs {@code from} to {@code to}, both even, of the outputs of a panel. */
    private static void widenPanel(long bytes, long scales, int from, int to, long panel) {
        IntVector lower = IntVector.broadcast(I, Int4.LOWER);
        IntVector upper = IntVector.broadcast(I, Int4.UPPER);
        IntVector lowerOnes = IntVector.broadcast(I, Int4.LOWER_ONES);
        IntVector upperOnes = IntVector.broadcast(I, Int4.UPPER_ONES);
        FloatVector lowerZero = FloatVector.broadcast(F, Int4.LOWER_ZERO);
        FloatVector upperZero = FloatVector.broadcast(F, Int4.UPPER_ZERO);
        FloatVector scale0 = FloatVector.fromMemorySegment(F, ALL, scales, LE);
        FloatVector scale1 = FloatVector.fromMemorySegment(F, ALL, scales + VECTOR, LE);
        for (int k = from; k < to; k += 2) {
            long row = bytes + (long) Gemm.BLOCK * (k / 2);
            long even = panel + 2 * VECTOR * k;
            long odd = even + 2 * VECTOR;
            IntVector v0 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, row, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector even0 =
                    v0.and(lower).or(lowerOnes).reinterpretAsFloats().sub(lowerZero);
            FloatVector odd0 = v0.and(upper).or(upperOnes).reinterpretAsFloats().sub(upperZero);
            even0.mul(scale0).intoMemorySegment(ALL, even, LE);
            odd0.mul(scale0).intoMemorySegment(ALL, odd, LE);
            IntVector v1 = (IntVector)
                    ByteVector.fromMemorySegment(QUARTER, ALL, row + COUNT, LE).convertShape(VectorOperators.B2I, I, 0);
            FloatVector even1 =
                    v1.and(lower).or(lowerOnes).reinterpretAsFloats().sub(lowerZero);
            FloatVector odd1 = v1.and(upper).or(upperOnes).reinterpretAsFloats().sub(upperZero);
            even1.mul(scale1).intoMemorySegment(ALL, even + VECTOR, LE);
            odd1.mul(scale1).intoMemorySegment(ALL, odd + VECTOR, LE);
        }
    }

    /** The last input, {@code k}, of an odd number. */
    private static void widenLast(long bytes, long scales, int k, long panel) {
        for (int o = 0; o < WIDTH; o++) {
            int element = (ALL.get(BYTE, bytes + (long) Gemm.BLOCK * (k / 2) + o) & 0xf) - 8;
            ALL.set(FLOAT, panel + 2 * VECTOR * k + 4L * o, element * ALL.get(FLOAT, scales + 4L * o));
        }
    }
}
