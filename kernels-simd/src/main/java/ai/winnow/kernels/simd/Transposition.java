package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.B;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;

/**
 * [rows][columns] to [columns][rows], for elements of 1, 2 or 4 bytes; at load, once a weight.
 *
 * <p>Tiles of 64 rows x 64 columns: each source row piece is copied into an L1 scratch (so that a power-of-two stride cannot evict it), transposed there
 * in 8-byte words, and written out as whole lines. Split among threads by columns lo..hi (rows of the target). Scratch: {@link #SCRATCH_BYTES}.
 */
public final class Transposition {

    /** Two tiles of 64 x 64 elements of four bytes. */
    public static final int SCRATCH_BYTES = 2 * 64 * 64 * 4;

    private static final int TILE = 64;

    private Transposition() {}

    /** target[c][r] = source[r][c] for columns c in lo..hi. Strides are in bytes. */
    public static void run(
            long source,
            long sourceRowBytes,
            int rows,
            int elementBytes,
            long target,
            long targetRowBytes,
            int lo,
            int hi,
            long scratch) {
        long outAt = scratch + (long) TILE * TILE * elementBytes;
        int pitch = TILE * elementBytes;
        for (int c = lo; c < hi; c += TILE) {
            int width = Math.min(TILE, hi - c);
            for (int r = 0; r < rows; r += TILE) {
                int height = Math.min(TILE, rows - r);
                if (width == TILE) {
                    pieces(
                            source + r * sourceRowBytes + (long) c * elementBytes,
                            sourceRowBytes,
                            scratch,
                            pitch,
                            height,
                            pitch);
                } else {
                    raggedPieces(
                            source + r * sourceRowBytes + (long) c * elementBytes,
                            sourceRowBytes,
                            scratch,
                            pitch,
                            height,
                            width * elementBytes);
                }
                switch (elementBytes) {
                    case 1 -> bytes(scratch, outAt);
                    case 2 -> shorts(scratch, outAt);
                    default -> ints(scratch, outAt);
                }
                if (height == TILE) {
                    pieces(
                            outAt,
                            pitch,
                            target + c * targetRowBytes + (long) r * elementBytes,
                            targetRowBytes,
                            width,
                            pitch);
                } else {
                    raggedPieces(
                            outAt,
                            pitch,
                            target + c * targetRowBytes + (long) r * elementBytes,
                            targetRowBytes,
                            width,
                            height * elementBytes);
                }
            }
        }
    }

    /** Copies pieces of a multiple of 64 bytes: MemorySegment.copy costs more than the copying at this length. */
    private static void pieces(long from, long fromPitch, long to, long toPitch, int pieces, int bytes) {
        for (int i = 0; i < pieces; i++) {
            long f = from + i * fromPitch;
            long t = to + i * toPitch;
            for (int b = 0; b < bytes; b += 64) {
                for (int v = 0; v < 64; v += 4 * COUNT) {
                    ByteVector.fromMemorySegment(B, ALL, f + b + v, LE).intoMemorySegment(ALL, t + b + v, LE);
                }
            }
        }
    }

    private static void raggedPieces(long from, long fromPitch, long to, long toPitch, int pieces, int bytes) {
        for (int i = 0; i < pieces; i++) {
            MemorySegment.copy(ALL, from + i * fromPitch, ALL, to + i * toPitch, bytes);
        }
    }

    private static void ints(long from, long to) {
        for (int r = 0; r < TILE; r += 2) {
            for (int c = 0; c < TILE; c += 2) {
                long a = ALL.get(LONG, from + 4L * (r * TILE + c));
                long b = ALL.get(LONG, from + 4L * ((r + 1) * TILE + c));
                ALL.set(LONG, to + 4L * (c * TILE + r), (a & 0xffffffffL) | (b << 32));
                ALL.set(LONG, to + 4L * ((c + 1) * TILE + r), (a >>> 32) | (b & 0xffffffff00000000L));
            }
        }
    }

    private static void shorts(long from, long to) {
        for (int r = 0; r < TILE; r += 4) {
            for (int c = 0; c < TILE; c += 4) {
                long a = ALL.get(LONG, from + 2L * (r * TILE + c));
                long b = ALL.get(LONG, from + 2L * ((r + 1) * TILE + c));
                long d = ALL.get(LONG, from + 2L * ((r + 2) * TILE + c));
                long e = ALL.get(LONG, from + 2L * ((r + 3) * TILE + c));
                long abEven = (a & 0x0000ffff0000ffffL) | ((b & 0x0000ffff0000ffffL) << 16);
                long abOdd = ((a >>> 16) & 0x0000ffff0000ffffL) | (b & 0xffff0000ffff0000L);
                long deEven = (d & 0x0000ffff0000ffffL) | ((e & 0x0000ffff0000ffffL) << 16);
                long deOdd = ((d >>> 16) & 0x0000ffff0000ffffL) | (e & 0xffff0000ffff0000L);
                ALL.set(LONG, to + 2L * (c * TILE + r), (abEven & 0xffffffffL) | (deEven << 32));
                ALL.set(LONG, to + 2L * ((c + 1) * TILE + r), (abOdd & 0xffffffffL) | (deOdd << 32));
                ALL.set(LONG, to + 2L * ((c + 2) * TILE + r), (abEven >>> 32) | (deEven & 0xffffffff00000000L));
                ALL.set(LONG, to + 2L * ((c + 3) * TILE + r), (abOdd >>> 32) | (deOdd & 0xffffffff00000000L));
            }
        }
    }

    /** 4 x 4 bytes in int words. */
    private static void bytes(long from, long to) {
        for (int r = 0; r < TILE; r += 4) {
            for (int c = 0; c < TILE; c += 4) {
                int a = ALL.get(INT, from + (long) r * TILE + c);
                int b = ALL.get(INT, from + (long) (r + 1) * TILE + c);
                int d = ALL.get(INT, from + (long) (r + 2) * TILE + c);
                int e = ALL.get(INT, from + (long) (r + 3) * TILE + c);
                int abEven = (a & 0x00ff00ff) | ((b & 0x00ff00ff) << 8);
                int abOdd = ((a >>> 8) & 0x00ff00ff) | (b & 0xff00ff00);
                int deEven = (d & 0x00ff00ff) | ((e & 0x00ff00ff) << 8);
                int deOdd = ((d >>> 8) & 0x00ff00ff) | (e & 0xff00ff00);
                ALL.set(INT, to + (long) c * TILE + r, (abEven & 0xffff) | (deEven << 16));
                ALL.set(INT, to + (long) (c + 1) * TILE + r, (abOdd & 0xffff) | (deOdd << 16));
                ALL.set(INT, to + (long) (c + 2) * TILE + r, (abEven >>> 16) | (deEven & 0xffff0000));
                ALL.set(INT, to + (long) (c + 3) * TILE + r, (abOdd >>> 16) | (deOdd & 0xffff0000));
            }
        }
    }
}
