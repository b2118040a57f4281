package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;

/**
 * Register tiles of the matrix product: C[rows, WIDTH] += A[rows, depth] * B[depth, WIDTH], each output one fma chain over ascending inputs. B is a packed
 * panel, the rows of A lie {@link #A_PITCH} apart, those of C as far as the caller says.
 *
 * <p>Six rows by two vectors need 12 accumulators, 2 vectors of B and 1 of A: all 16 registers of AVX2, and enough chains to fill the fma units of AVX-512
 * too, where taller tiles gain 8 % at most (and from 8 rows on C1 gives up: "out of virtual registers", and the method may stay interpreted). The loop holds
 * nothing but the product: one read of the weights that are packed next, in each step and so in L2 by then, cost more scalar instructions than it saved time.
 */
final class GemmTile {

    /** Outputs of a panel: two vectors. */
    static final int WIDTH = 2 * COUNT;

    /** Rows of the tallest tile. */
    static final int ROWS = 6;

    /** The most inputs of a panel. */
    static final int DEPTH = 256;

    /** Bytes between two rows of A in scratch: no power of two, so that the rows fall into different sets of L1. */
    static final long A_PITCH = 4L * (DEPTH + 16);

    /** Bytes of a vector. */
    static final long VECTOR = 4L * COUNT;

    private GemmTile() {}

    /** Rows of the next tile when {@code left} rows are left: as few tiles as possible, and none of one row where two of more will do. */
    static int rows(int left) {
        return switch (left) {
            case 7, 8 -> 4;
            case 5 -> 3;
            default -> Math.min(left, ROWS);
        };
    }

    /** The tile of {@code rows} rows. */
    static void run(int rows, long b, int depth, long a, long c, long cPitch) {
        switch (rows) {
            case 6 -> rows6(b, depth, a, c, cPitch);
            case 4 -> rows4(b, depth, a, c, cPitch);
            case 3 -> rows3(b, depth, a, c, cPitch);
            case 2 -> rows2(b, depth, a, c, cPitch);
            default -> rows1(b, depth, a, c);
        }
    }

    /**
     * {@code value}, once a loop has brought {@code k} to {@code depth}. C2 does not see that it is the same, and so does not keep what is made of it in registers
     * through the loop, where it would push the addresses that the loop needs into vector registers: the tile of six rows took 1.15 times as long.
     */
    private static long after(long value, int k, int depth) {
        return value + (k - depth);
    }

    private static void rows6(long b, int depth, long a, long c, long cPitch) {
        long c1 = c + cPitch;
        long c2 = c + 2 * cPitch;
        long c3 = c + 3 * cPitch;
        long c4 = c + 4 * cPitch;
        long c5 = c + 5 * cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, ALL, c, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, ALL, c + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, ALL, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, ALL, c1 + VECTOR, LE);
        FloatVector low2 = FloatVector.fromMemorySegment(F, ALL, c2, LE);
        FloatVector high2 = FloatVector.fromMemorySegment(F, ALL, c2 + VECTOR, LE);
        FloatVector low3 = FloatVector.fromMemorySegment(F, ALL, c3, LE);
        FloatVector high3 = FloatVector.fromMemorySegment(F, ALL, c3 + VECTOR, LE);
        FloatVector low4 = FloatVector.fromMemorySegment(F, ALL, c4, LE);
        FloatVector high4 = FloatVector.fromMemorySegment(F, ALL, c4 + VECTOR, LE);
        FloatVector low5 = FloatVector.fromMemorySegment(F, ALL, c5, LE);
        FloatVector high5 = FloatVector.fromMemorySegment(F, ALL, c5 + VECTOR, LE);
        int k = 0;
        for (; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 2 * A_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 3 * A_PITCH + 4L * k));
            low3 = low.fma(a3, low3);
            high3 = high.fma(a3, high3);
            FloatVector a4 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 4 * A_PITCH + 4L * k));
            low4 = low.fma(a4, low4);
            high4 = high.fma(a4, high4);
            FloatVector a5 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 5 * A_PITCH + 4L * k));
            low5 = low.fma(a5, low5);
            high5 = high.fma(a5, high5);
        }
        long at = after(c, k, depth);
        long pitch = after(cPitch, k, depth);
        low0.intoMemorySegment(ALL, at, LE);
        high0.intoMemorySegment(ALL, at + VECTOR, LE);
        low1.intoMemorySegment(ALL, at + pitch, LE);
        high1.intoMemorySegment(ALL, at + pitch + VECTOR, LE);
        low2.intoMemorySegment(ALL, at + 2 * pitch, LE);
        high2.intoMemorySegment(ALL, at + 2 * pitch + VECTOR, LE);
        low3.intoMemorySegment(ALL, at + 3 * pitch, LE);
        high3.intoMemorySegment(ALL, at + 3 * pitch + VECTOR, LE);
        low4.intoMemorySegment(ALL, at + 4 * pitch, LE);
        high4.intoMemorySegment(ALL, at + 4 * pitch + VECTOR, LE);
        low5.intoMemorySegment(ALL, at + 5 * pitch, LE);
        high5.intoMemorySegment(ALL, at + 5 * pitch + VECTOR, LE);
    }

    private static void rows4(long b, int depth, long a, long c, long cPitch) {
        long c1 = c + cPitch;
        long c2 = c + 2 * cPitch;
        long c3 = c + 3 * cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, ALL, c, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, ALL, c + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, ALL, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, ALL, c1 + VECTOR, LE);
        FloatVector low2 = FloatVector.fromMemorySegment(F, ALL, c2, LE);
        FloatVector high2 = FloatVector.fromMemorySegment(F, ALL, c2 + VECTOR, LE);
        FloatVector low3 = FloatVector.fromMemorySegment(F, ALL, c3, LE);
        FloatVector high3 = FloatVector.fromMemorySegment(F, ALL, c3 + VECTOR, LE);
        int k = 0;
        for (; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 2 * A_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 3 * A_PITCH + 4L * k));
            low3 = low.fma(a3, low3);
            high3 = high.fma(a3, high3);
        }
        long at = after(c, k, depth);
        long pitch = after(cPitch, k, depth);
        low0.intoMemorySegment(ALL, at, LE);
        high0.intoMemorySegment(ALL, at + VECTOR, LE);
        low1.intoMemorySegment(ALL, at + pitch, LE);
        high1.intoMemorySegment(ALL, at + pitch + VECTOR, LE);
        low2.intoMemorySegment(ALL, at + 2 * pitch, LE);
        high2.intoMemorySegment(ALL, at + 2 * pitch + VECTOR, LE);
        low3.intoMemorySegment(ALL, at + 3 * pitch, LE);
        high3.intoMemorySegment(ALL, at + 3 * pitch + VECTOR, LE);
    }

    private static void rows3(long b, int depth, long a, long c, long cPitch) {
        long c1 = c + cPitch;
        long c2 = c + 2 * cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, ALL, c, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, ALL, c + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, ALL, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, ALL, c1 + VECTOR, LE);
        FloatVector low2 = FloatVector.fromMemorySegment(F, ALL, c2, LE);
        FloatVector high2 = FloatVector.fromMemorySegment(F, ALL, c2 + VECTOR, LE);
        int k = 0;
        for (; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 2 * A_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
        }
        long at = after(c, k, depth);
        long pitch = after(cPitch, k, depth);
        low0.intoMemorySegment(ALL, at, LE);
        high0.intoMemorySegment(ALL, at + VECTOR, LE);
        low1.intoMemorySegment(ALL, at + pitch, LE);
        high1.intoMemorySegment(ALL, at + pitch + VECTOR, LE);
        low2.intoMemorySegment(ALL, at + 2 * pitch, LE);
        high2.intoMemorySegment(ALL, at + 2 * pitch + VECTOR, LE);
    }

    private static void rows2(long b, int depth, long a, long c, long cPitch) {
        long c1 = c + cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, ALL, c, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, ALL, c + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, ALL, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, ALL, c1 + VECTOR, LE);
        int k = 0;
        for (; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
        }
        long at = after(c, k, depth);
        long pitch = after(cPitch, k, depth);
        low0.intoMemorySegment(ALL, at, LE);
        high0.intoMemorySegment(ALL, at + VECTOR, LE);
        low1.intoMemorySegment(ALL, at + pitch, LE);
        high1.intoMemorySegment(ALL, at + pitch + VECTOR, LE);
    }

    private static void rows1(long b, int depth, long a, long c) {
        FloatVector low0 = FloatVector.fromMemorySegment(F, ALL, c, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, ALL, c + VECTOR, LE);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, ALL, b + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, a + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
        }
        low0.intoMemorySegment(ALL, c, LE);
        high0.intoMemorySegment(ALL, c + VECTOR, LE);
    }
}
