package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import ai.winnow.ir.KvShape;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * Register tiles of attention over many rows: C[rows, WIDTH] = A[rows, depth] * B[depth, WIDTH], or added to C, each output one fma
 * chain over ascending depth. B is a packed panel. Six or four rows by two vectors: what {@link GemmTile} found best, without its reading ahead. What
 * is more in these methods than there is lets C1 give up ("out of virtual registers"), and then they are never compiled by C2.
 */
final class AttentionTile {

    /** Columns of a panel: two vectors. */
    static final int WIDTH = 2 * COUNT;

    /** Bytes between rows of scores: no power of two, so that they fall into different sets of L1. */
    static final long SCORE_PITCH = 4L * (KvShape.PAGE_ROWS + 16);

    private static final long VECTOR = 4L * COUNT;

    private AttentionTile() {}

    /** Rows of the next tile when {@code left} rows are left, an even number of at least four. */
    static int rows(int left) {
        return left == 4 || left == 8 ? 4 : 6;
    }

    /** C[6, WIDTH] = A[6, depth] * B. */
    static void six(
            MemorySegment b,
            long bAt,
            int depth,
            MemorySegment a,
            long aAt,
            long aPitch,
            MemorySegment c,
            long cAt,
            long cPitch) {
        long c1 = cAt + cPitch;
        long c2 = cAt + 2 * cPitch;
        long c3 = cAt + 3 * cPitch;
        long c4 = cAt + 4 * cPitch;
        long c5 = cAt + 5 * cPitch;
        long from1 = aAt + aPitch;
        long from2 = aAt + 2 * aPitch;
        long from3 = aAt + 3 * aPitch;
        long from4 = aAt + 4 * aPitch;
        long from5 = aAt + 5 * aPitch;
        FloatVector low0 = FloatVector.zero(F);
        FloatVector high0 = FloatVector.zero(F);
        FloatVector low1 = FloatVector.zero(F);
        FloatVector high1 = FloatVector.zero(F);
        FloatVector low2 = FloatVector.zero(F);
        FloatVector high2 = FloatVector.zero(F);
        FloatVector low3 = FloatVector.zero(F);
        FloatVector high3 = FloatVector.zero(F);
        FloatVector low4 = FloatVector.zero(F);
        FloatVector high4 = FloatVector.zero(F);
        FloatVector low5 = FloatVector.zero(F);
        FloatVector high5 = FloatVector.zero(F);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, from1 + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, a.get(FLOAT, from2 + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, a.get(FLOAT, from3 + 4L * k));
            low3 = low.fma(a3, low3);
            high3 = high.fma(a3, high3);
            FloatVector a4 = FloatVector.broadcast(F, a.get(FLOAT, from4 + 4L * k));
            low4 = low.fma(a4, low4);
            high4 = high.fma(a4, high4);
            FloatVector a5 = FloatVector.broadcast(F, a.get(FLOAT, from5 + 4L * k));
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

    /** C[4, WIDTH] = A[4, depth] * B. */
    static void four(
            MemorySegment b,
            long bAt,
            int depth,
            MemorySegment a,
            long aAt,
            long aPitch,
            MemorySegment c,
            long cAt,
            long cPitch) {
        long c1 = cAt + cPitch;
        long c2 = cAt + 2 * cPitch;
        long c3 = cAt + 3 * cPitch;
        long from1 = aAt + aPitch;
        long from2 = aAt + 2 * aPitch;
        long from3 = aAt + 3 * aPitch;
        FloatVector low0 = FloatVector.zero(F);
        FloatVector high0 = FloatVector.zero(F);
        FloatVector low1 = FloatVector.zero(F);
        FloatVector high1 = FloatVector.zero(F);
        FloatVector low2 = FloatVector.zero(F);
        FloatVector high2 = FloatVector.zero(F);
        FloatVector low3 = FloatVector.zero(F);
        FloatVector high3 = FloatVector.zero(F);
        for (int k = 0; k < depth; k++) {
            FloatVector low = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k, LE);
            FloatVector high = FloatVector.fromMemorySegment(F, b, bAt + 2 * VECTOR * k + VECTOR, LE);
            FloatVector a0 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4L * k));
            low0 = low.fma(a0, low0);
            high0 = high.fma(a0, high0);
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, from1 + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, a.get(FLOAT, from2 + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, a.get(FLOAT, from3 + 4L * k));
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

    /** C[6, WIDTH] += A[6, depth] * B; rows of A lie {@link #SCORE_PITCH} apart. */
    static void addSix(
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
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, aAt + SCORE_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 2 * SCORE_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 3 * SCORE_PITCH + 4L * k));
            low3 = low.fma(a3, low3);
            high3 = high.fma(a3, high3);
            FloatVector a4 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 4 * SCORE_PITCH + 4L * k));
            low4 = low.fma(a4, low4);
            high4 = high.fma(a4, high4);
            FloatVector a5 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 5 * SCORE_PITCH + 4L * k));
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

    /** C[4, WIDTH] += A[4, depth] * B; rows of A lie {@link #SCORE_PITCH} apart. */
    static void addFour(
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
            FloatVector a1 = FloatVector.broadcast(F, a.get(FLOAT, aAt + SCORE_PITCH + 4L * k));
            low1 = low.fma(a1, low1);
            high1 = high.fma(a1, high1);
            FloatVector a2 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 2 * SCORE_PITCH + 4L * k));
            low2 = low.fma(a2, low2);
            high2 = high.fma(a2, high2);
            FloatVector a3 = FloatVector.broadcast(F, a.get(FLOAT, aAt + 3 * SCORE_PITCH + 4L * k));
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
}
