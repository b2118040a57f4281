package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import java.lang.foreign.MemorySegment;
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
    static void run(
            int rows,
            MemorySegment b,
            long bAt,
            int depth,
            MemorySegment a,
            long aAt,
            MemorySegment c,
            long cAt,
            long cPitch) {
        switch (rows) {
            case 6 -> rows6(b, bAt, depth, a, aAt, c, cAt, cPitch);
            case 4 -> rows4(b, bAt, depth, a, aAt, c, cAt, cPitch);
            case 3 -> rows3(b, bAt, depth, a, aAt, c, cAt, cPitch);
            case 2 -> rows2(b, bAt, depth, a, aAt, c, cAt, cPitch);
            default -> rows1(b, bAt, depth, a, aAt, c, cAt);
        }
    }

    private static void rows6(
            MemorySegment b, long bAt, int depth, MemorySegment a, long aAt, MemorySegment c, long cAt, long cPitch) {
        long c1 = cAt + cPitch;
        long c2 = cAt + 2 * cPitch;
        long c3 = cAt + 3 * cPitch;
        long c4 = cAt + 4 * cPitch;
        long c5 = cAt + 5 * cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, c, cAt, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, c, cAt + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, c, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, c, c1 + VECTOR, LE);
        FloatVector low2 = FloatVector.fromMemorySegment(F, c, c2, LE);
        FloatVector high2 = FloatVector.fromMemorySegment(F, c, c2 + VECTOR, LE);
        FloatVector low3 = FloatVector.fromMemorySegment(F, c, c3, LE);
        FloatVector high3 = FloatVector.fromMemorySegment(F, c, c3 + VECTOR, LE);
        FloatVector low4 = FloatVector.fromMemorySegment(F, c, c4, LE);
        FloatVector high4 = FloatVector.fromMemorySegment(F, c, c4 + VECTOR, LE);
        FloatVector low5 = FloatVector.fromMemorySegment(F, c, c5, LE);
        FloatVector high5 = FloatVector.fromMemorySegment(F, c, c5 + VECTOR, LE);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, aAt + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 2 * A_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 3 * A_PITCH + 4L * k));
            low3 = low.fma(a3, low3);
            high3 = high.fma(a3, high3);
            FloatVector a4 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4 * A_PITCH + 4L * k));
            low4 = low.fma(a4, low4);
            high4 = high.fma(a4, high4);
            FloatVector a5 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 5 * A_PITCH + 4L * k));
            low5 = low.fma(a5, low5);
            high5 = high.fma(a5, high5);
        }
        low0.intoMemorySegment(c, cAt, LE);
        high0.intoMemorySegment(c, cAt + VECTOR, LE);
        low1.intoMemorySegment(c, c1, LE);
        high1.intoMemorySegment(c, c1 + VECTOR, LE);
        low2.intoMemorySegment(c, c2, LE);
        high2.intoMemorySegment(c, c2 + VECTOR, LE);
        low3.intoMemorySegment(c, c3, LE);
        high3.intoMemorySegment(c, c3 + VECTOR, LE);
        low4.intoMemorySegment(c, c4, LE);
        high4.intoMemorySegment(c, c4 + VECTOR, LE);
        low5.intoMemorySegment(c, c5, LE);
        high5.intoMemorySegment(c, c5 + VECTOR, LE);
    }

    private static void rows4(
            MemorySegment b, long bAt, int depth, MemorySegment a, long aAt, MemorySegment c, long cAt, long cPitch) {
        long c1 = cAt + cPitch;
        long c2 = cAt + 2 * cPitch;
        long c3 = cAt + 3 * cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, c, cAt, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, c, cAt + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, c, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, c, c1 + VECTOR, LE);
        FloatVector low2 = FloatVector.fromMemorySegment(F, c, c2, LE);
        FloatVector high2 = FloatVector.fromMemorySegment(F, c, c2 + VECTOR, LE);
        FloatVector low3 = FloatVector.fromMemorySegment(F, c, c3, LE);
        FloatVector high3 = FloatVector.fromMemorySegment(F, c, c3 + VECTOR, LE);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, aAt + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 2 * A_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 3 * A_PITCH + 4L * k));
            low3 = low.fma(a3, low3);
            high3 = high.fma(a3, high3);
        }
        low0.intoMemorySegment(c, cAt, LE);
        high0.intoMemorySegment(c, cAt + VECTOR, LE);
        low1.intoMemorySegment(c, c1, LE);
        high1.intoMemorySegment(c, c1 + VECTOR, LE);
        low2.intoMemorySegment(c, c2, LE);
        high2.intoMemorySegment(c, c2 + VECTOR, LE);
        low3.intoMemorySegment(c, c3, LE);
        high3.intoMemorySegment(c, c3 + VECTOR, LE);
    }

    private static void rows3(
            MemorySegment b, long bAt, int depth, MemorySegment a, long aAt, MemorySegment c, long cAt, long cPitch) {
        long c1 = cAt + cPitch;
        long c2 = cAt + 2 * cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, c, cAt, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, c, cAt + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, c, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, c, c1 + VECTOR, LE);
        FloatVector low2 = FloatVector.fromMemorySegment(F, c, c2, LE);
        FloatVector high2 = FloatVector.fromMemorySegment(F, c, c2 + VECTOR, LE);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, aAt + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 2 * A_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
        }
        low0.intoMemorySegment(c, cAt, LE);
        high0.intoMemorySegment(c, cAt + VECTOR, LE);
        low1.intoMemorySegment(c, c1, LE);
        high1.intoMemorySegment(c, c1 + VECTOR, LE);
        low2.intoMemorySegment(c, c2, LE);
        high2.intoMemorySegment(c, c2 + VECTOR, LE);
    }

    private static void rows2(
            MemorySegment b, long bAt, int depth, MemorySegment a, long aAt, MemorySegment c, long cAt, long cPitch) {
        long c1 = cAt + cPitch;
        FloatVector low0 = FloatVector.fromMemorySegment(F, c, cAt, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, c, cAt + VECTOR, LE);
        FloatVector low1 = FloatVector.fromMemorySegment(F, c, c1, LE);
        FloatVector high1 = FloatVector.fromMemorySegment(F, c, c1 + VECTOR, LE);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, aAt + A_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
        }
        low0.intoMemorySegment(c, cAt, LE);
        high0.intoMemorySegment(c, cAt + VECTOR, LE);
        low1.intoMemorySegment(c, c1, LE);
        high1.intoMemorySegment(c, c1 + VECTOR, LE);
    }

    private static void rows1(
            MemorySegment b, long bAt, int depth, MemorySegment a, long aAt, MemorySegment c, long cAt) {
        FloatVector low0 = FloatVector.fromMemorySegment(F, c, cAt, LE);
        FloatVector high0 = FloatVector.fromMemorySegment(F, c, cAt + VECTOR, LE);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
        }
        low0.intoMemorySegment(c, cAt, LE);
        high0.intoMemorySegment(c, cAt + VECTOR, LE);
    }
}
