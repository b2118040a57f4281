package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.BIT1;
import static ai.winnow.kernels.simd.Lanes.BIT2;
import static ai.winnow.kernels.simd.Lanes.BYTE;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.ODD_LANES;
import static ai.winnow.kernels.simd.Lanes.SWAP1;
import static ai.winnow.kernels.simd.Lanes.SWAP2;
import static ai.winnow.kernels.simd.Lanes.SWAP4;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * One or four query heads over rows of a page of bf16 keys or values {@code [64, headDim]}; each row is loaded once for all heads.
 *
 * <p>One int load brings two neighbouring elements a lane, so queries and sums are in groups of [evens][odds] (see {@link
 * RowOrder#pair} and {@link ColumnOrder#finishPaired}).
 *
 * <p>While one page is computed with, one byte of each line of the page that is needed next is read, so that it is in L1 by then; the sum
 * of these bytes is returned to keep the reads alive. Traffic: the page once.
 */
final class Bf16Pages {

    private static final long BYTES = 4L * COUNT;

    /** The next page is read as four streams side by side: at the start of each the processor waits until it has noticed the stream. */
    private static final long QUARTER_ROWS = 16;

    private static final int HIGH = 0xffff0000;

    private Bf16Pages() {}

    /** Whether rows of {@code headDim} elements are read here. */
    static boolean takes(int headDim) {
        return headDim % (2 * COUNT) == 0;
    }

    /** s[key][head] = q[head] . k[key] for four heads; q is [vector][head][lane]. Reads an even number of rows, reads along in {@code next}. */
    static int scoresFour(
            MemorySegment k,
            long kAt,
            int headDim,
            MemorySegment q,
            long qAt,
            MemorySegment s,
            long sAt,
            int count,
            MemorySegment next,
            long nextAt) {
        long rowBytes = 2L * headDim;
        long quarter = QUARTER_ROWS * rowBytes;
        IntVector upper = IntVector.broadcast(I, HIGH);
        int touched = 0;
        for (int key = 0; key < count; key += 2) {
            long from = kAt + key * rowBytes;
            long along = nextAt + (key & 2) * quarter + (key >> 2) * rowBytes;
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            FloatVector a2 = FloatVector.zero(F);
            FloatVector a3 = FloatVector.zero(F);
            FloatVector a4 = FloatVector.zero(F);
            FloatVector a5 = FloatVector.zero(F);
            FloatVector a6 = FloatVector.zero(F);
            FloatVector a7 = FloatVector.zero(F);
            for (int d = 0; d < headDim; d += 2 * COUNT) {
                long at = 2L * d;
                touched += next.get(BYTE, along + at);
                touched += next.get(BYTE, along + quarter + at);
                FloatVector qx0 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d, LE);
                FloatVector qx1 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d + BYTES, LE);
                FloatVector qx2 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d + 2 * BYTES, LE);
                FloatVector qx3 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d + 3 * BYTES, LE);
                FloatVector qy0 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d + 4 * BYTES, LE);
                FloatVector qy1 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d + 5 * BYTES, LE);
                FloatVector qy2 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d + 6 * BYTES, LE);
                FloatVector qy3 = FloatVector.fromMemorySegment(F, q, qAt + 16L * d + 7 * BYTES, LE);
                IntVector k0 = IntVector.fromMemorySegment(I, k, from + at, LE);
                FloatVector x0 = k0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y0 = k0.and(upper).reinterpretAsFloats();
                a0 = x0.fma(qx0, a0);
                a1 = x0.fma(qx1, a1);
                a2 = x0.fma(qx2, a2);
                a3 = x0.fma(qx3, a3);
                a0 = y0.fma(qy0, a0);
                a1 = y0.fma(qy1, a1);
                a2 = y0.fma(qy2, a2);
                a3 = y0.fma(qy3, a3);
                IntVector k1 = IntVector.fromMemorySegment(I, k, from + rowBytes + at, LE);
                FloatVector x1 = k1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y1 = k1.and(upper).reinterpretAsFloats();
                a4 = x1.fma(qx0, a4);
                a5 = x1.fma(qx1, a5);
                a6 = x1.fma(qx2, a6);
                a7 = x1.fma(qx3, a7);
                a4 = y1.fma(qy0, a4);
                a5 = y1.fma(qy1, a5);
                a6 = y1.fma(qy2, a6);
                a7 = y1.fma(qy3, a7);
            }
            FloatVector sum01 =
                    a0.blend(a1, ODD_LANES).add(a1.blend(a0, ODD_LANES).rearrange(SWAP1));
            FloatVector sum23 =
                    a2.blend(a3, ODD_LANES).add(a3.blend(a2, ODD_LANES).rearrange(SWAP1));
            FloatVector sum45 =
                    a4.blend(a5, ODD_LANES).add(a5.blend(a4, ODD_LANES).rearrange(SWAP1));
            FloatVector sum67 =
                    a6.blend(a7, ODD_LANES).add(a7.blend(a6, ODD_LANES).rearrange(SWAP1));
            FloatVector low =
                    sum01.blend(sum23, BIT1).add(sum23.blend(sum01, BIT1).rearrange(SWAP2));
            FloatVector high =
                    sum45.blend(sum67, BIT1).add(sum67.blend(sum45, BIT1).rearrange(SWAP2));
            if (COUNT == 4) {
                low.intoMemorySegment(s, sAt + 16L * key, LE);
                high.intoMemorySegment(s, sAt + 16L * key + BYTES, LE);
            } else {
                FloatVector sum =
                        low.blend(high, BIT2).add(high.blend(low, BIT2).rearrange(SWAP4));
                if (COUNT > 8) {
                    sum = sum.add(sum.rearrange(Lanes.FOLD8));
                }
                sum.intoMemorySegment(s, sAt + 16L * key, LE);
            }
        }
        return touched;
    }

    /** s[key] = q . k[key] for one head. Reads a multiple of eight rows, reads along in {@code next}. */
    static int scoresOne(
            MemorySegment k,
            long kAt,
            int headDim,
            MemorySegment q,
            long qAt,
            MemorySegment s,
            long sAt,
            int count,
            MemorySegment next,
            long nextAt) {
        long rowBytes = 2L * headDim;
        long quarter = QUARTER_ROWS * rowBytes;
        IntVector upper = IntVector.broadcast(I, HIGH);
        int touched = 0;
        for (int key = 0; key < count; key += 8) {
            long from = kAt + key * rowBytes;
            long along = nextAt + (key >> 2) * rowBytes;
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = FloatVector.zero(F);
            FloatVector a2 = FloatVector.zero(F);
            FloatVector a3 = FloatVector.zero(F);
            FloatVector a4 = FloatVector.zero(F);
            FloatVector a5 = FloatVector.zero(F);
            FloatVector a6 = FloatVector.zero(F);
            FloatVector a7 = FloatVector.zero(F);
            for (int d = 0; d < headDim; d += 2 * COUNT) {
                long at = 2L * d;
                touched += next.get(BYTE, along + at);
                touched += next.get(BYTE, along + quarter + at);
                touched += next.get(BYTE, along + 2 * quarter + at);
                touched += next.get(BYTE, along + 3 * quarter + at);
                FloatVector qx0 = FloatVector.fromMemorySegment(F, q, qAt + 4L * d, LE);
                FloatVector qy0 = FloatVector.fromMemorySegment(F, q, qAt + 4L * d + BYTES, LE);
                IntVector k0 = IntVector.fromMemorySegment(I, k, from + at, LE);
                FloatVector x0 = k0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y0 = k0.and(upper).reinterpretAsFloats();
                a0 = x0.fma(qx0, a0);
                a0 = y0.fma(qy0, a0);
                IntVector k1 = IntVector.fromMemorySegment(I, k, from + rowBytes + at, LE);
                FloatVector x1 = k1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y1 = k1.and(upper).reinterpretAsFloats();
                a1 = x1.fma(qx0, a1);
                a1 = y1.fma(qy0, a1);
                IntVector k2 = IntVector.fromMemorySegment(I, k, from + 2 * rowBytes + at, LE);
                FloatVector x2 = k2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y2 = k2.and(upper).reinterpretAsFloats();
                a2 = x2.fma(qx0, a2);
                a2 = y2.fma(qy0, a2);
                IntVector k3 = IntVector.fromMemorySegment(I, k, from + 3 * rowBytes + at, LE);
                FloatVector x3 = k3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y3 = k3.and(upper).reinterpretAsFloats();
                a3 = x3.fma(qx0, a3);
                a3 = y3.fma(qy0, a3);
                IntVector k4 = IntVector.fromMemorySegment(I, k, from + 4 * rowBytes + at, LE);
                FloatVector x4 = k4.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y4 = k4.and(upper).reinterpretAsFloats();
                a4 = x4.fma(qx0, a4);
                a4 = y4.fma(qy0, a4);
                IntVector k5 = IntVector.fromMemorySegment(I, k, from + 5 * rowBytes + at, LE);
                FloatVector x5 = k5.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y5 = k5.and(upper).reinterpretAsFloats();
                a5 = x5.fma(qx0, a5);
                a5 = y5.fma(qy0, a5);
                IntVector k6 = IntVector.fromMemorySegment(I, k, from + 6 * rowBytes + at, LE);
                FloatVector x6 = k6.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y6 = k6.and(upper).reinterpretAsFloats();
                a6 = x6.fma(qx0, a6);
                a6 = y6.fma(qy0, a6);
                IntVector k7 = IntVector.fromMemorySegment(I, k, from + 7 * rowBytes + at, LE);
                FloatVector x7 = k7.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector y7 = k7.and(upper).reinterpretAsFloats();
                a7 = x7.fma(qx0, a7);
                a7 = y7.fma(qy0, a7);
            }
            FloatVector sum01 =
                    a0.blend(a1, ODD_LANES).add(a1.blend(a0, ODD_LANES).rearrange(SWAP1));
            FloatVector sum23 =
                    a2.blend(a3, ODD_LANES).add(a3.blend(a2, ODD_LANES).rearrange(SWAP1));
            FloatVector sum45 =
                    a4.blend(a5, ODD_LANES).add(a5.blend(a4, ODD_LANES).rearrange(SWAP1));
            FloatVector sum67 =
                    a6.blend(a7, ODD_LANES).add(a7.blend(a6, ODD_LANES).rearrange(SWAP1));
            FloatVector low =
                    sum01.blend(sum23, BIT1).add(sum23.blend(sum01, BIT1).rearrange(SWAP2));
            FloatVector high =
                    sum45.blend(sum67, BIT1).add(sum67.blend(sum45, BIT1).rearrange(SWAP2));
            if (COUNT == 4) {
                low.intoMemorySegment(s, sAt + 4L * key, LE);
                high.intoMemorySegment(s, sAt + 4L * key + BYTES, LE);
            } else {
                FloatVector sum =
                        low.blend(high, BIT2).add(high.blend(low, BIT2).rearrange(SWAP4));
                if (COUNT > 8) {
                    sum = sum.add(sum.rearrange(Lanes.FOLD8));
                }
                sum.intoMemorySegment(s, sAt + 4L * key, LE);
            }
        }
        return touched;
    }

    /** y[head] = factor[head] * y[head] + sum of p[row][head] * v[row] for four heads, whose sums lie {@code pitch} apart. */
    static int weighFour(
            MemorySegment v,
            long vAt,
            int headDim,
            MemorySegment p,
            long pAt,
            long factorsAt,
            MemorySegment y,
            long yAt,
            long pitch,
            int count,
            MemorySegment next,
            long nextAt) {
        long rowBytes = 2L * headDim;
        int touched = 0;
        for (int d = 0; d < headDim; d += 2 * COUNT) {
            long at = 2L * d;
            touched += weighFour(
                    v,
                    vAt + at,
                    rowBytes,
                    p,
                    pAt,
                    factorsAt,
                    y,
                    yAt + 4L * d,
                    pitch,
                    count,
                    next,
                    nextAt + QUARTER_ROWS * at);
        }
        return touched;
    }

    private static int weighFour(
            MemorySegment v,
            long vAt,
            long rowBytes,
            MemorySegment p,
            long pAt,
            long factorsAt,
            MemorySegment y,
            long yAt,
            long pitch,
            int count,
            MemorySegment next,
            long nextAt) {
        FloatVector factor0 = FloatVector.broadcast(F, p.get(FLOAT, factorsAt));
        FloatVector low0 = FloatVector.fromMemorySegment(F, y, yAt, LE).mul(factor0);
        FloatVector high0 = FloatVector.fromMemorySegment(F, y, yAt + BYTES, LE).mul(factor0);
        FloatVector factor1 = FloatVector.broadcast(F, p.get(FLOAT, factorsAt + 4));
        FloatVector low1 = FloatVector.fromMemorySegment(F, y, yAt + pitch, LE).mul(factor1);
        FloatVector high1 =
                FloatVector.fromMemorySegment(F, y, yAt + pitch + BYTES, LE).mul(factor1);
        FloatVector factor2 = FloatVector.broadcast(F, p.get(FLOAT, factorsAt + 8));
        FloatVector low2 =
                FloatVector.fromMemorySegment(F, y, yAt + 2 * pitch, LE).mul(factor2);
        FloatVector high2 =
                FloatVector.fromMemorySegment(F, y, yAt + 2 * pitch + BYTES, LE).mul(factor2);
        FloatVector factor3 = FloatVector.broadcast(F, p.get(FLOAT, factorsAt + 12));
        FloatVector low3 =
                FloatVector.fromMemorySegment(F, y, yAt + 3 * pitch, LE).mul(factor3);
        FloatVector high3 =
                FloatVector.fromMemorySegment(F, y, yAt + 3 * pitch + BYTES, LE).mul(factor3);
        IntVector upper = IntVector.broadcast(I, HIGH);
        long quarter = QUARTER_ROWS * rowBytes;
        int touched = 0;
        for (int row = 0; row < count; row++) {
            long from = vAt + row * rowBytes;
            long along = nextAt + (row & 3) * quarter + (row >> 2) * BYTES;
            touched += next.get(BYTE, along);
            IntVector pair = IntVector.fromMemorySegment(I, v, from, LE);
            FloatVector low = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector high = pair.and(upper).reinterpretAsFloats();
            FloatVector p0 = FloatVector.broadcast(F, p.get(FLOAT, pAt + 16L * row));
            low0 = low.fma(p0, low0);
            high0 = high.fma(p0, high0);
            FloatVector p1 = FloatVector.broadcast(F, p.get(FLOAT, pAt + 16L * row + 4));
            low1 = low.fma(p1, low1);
            high1 = high.fma(p1, high1);
            FloatVector p2 = FloatVector.broadcast(F, p.get(FLOAT, pAt + 16L * row + 8));
            low2 = low.fma(p2, low2);
            high2 = high.fma(p2, high2);
            FloatVector p3 = FloatVector.broadcast(F, p.get(FLOAT, pAt + 16L * row + 12));
            low3 = low.fma(p3, low3);
            high3 = high.fma(p3, high3);
        }
        low0.intoMemorySegment(y, yAt, LE);
        high0.intoMemorySegment(y, yAt + BYTES, LE);
        low1.intoMemorySegment(y, yAt + pitch, LE);
        high1.intoMemorySegment(y, yAt + pitch + BYTES, LE);
        low2.intoMemorySegment(y, yAt + 2 * pitch, LE);
        high2.intoMemorySegment(y, yAt + 2 * pitch + BYTES, LE);
        low3.intoMemorySegment(y, yAt + 3 * pitch, LE);
        high3.intoMemorySegment(y, yAt + 3 * pitch + BYTES, LE);
        return touched;
    }

    /** y = factor * y + sum of p[row] * v[row] for one head. */
    static int weighOne(
            MemorySegment v,
            long vAt,
            int headDim,
            MemorySegment p,
            long pAt,
            long factorsAt,
            MemorySegment y,
            long yAt,
            int count,
            MemorySegment next,
            long nextAt) {
        long rowBytes = 2L * headDim;
        int touched = 0;
        for (int d = 0; d < headDim; d += 2 * COUNT) {
            long at = 2L * d;
            touched += weighOne(
                    v, vAt + at, rowBytes, p, pAt, factorsAt, y, yAt + 4L * d, count, next, nextAt + QUARTER_ROWS * at);
        }
        return touched;
    }

    private static int weighOne(
            MemorySegment v,
            long vAt,
            long rowBytes,
            MemorySegment p,
            long pAt,
            long factorsAt,
            MemorySegment y,
            long yAt,
            int count,
            MemorySegment next,
            long nextAt) {
        FloatVector factor0 = FloatVector.broadcast(F, p.get(FLOAT, factorsAt));
        FloatVector low0 = FloatVector.fromMemorySegment(F, y, yAt, LE).mul(factor0);
        FloatVector high0 = FloatVector.fromMemorySegment(F, y, yAt + BYTES, LE).mul(factor0);
        IntVector upper = IntVector.broadcast(I, HIGH);
        long quarter = QUARTER_ROWS * rowBytes;
        int touched = 0;
        for (int row = 0; row < count; row++) {
            long from = vAt + row * rowBytes;
            long along = nextAt + (row & 3) * quarter + (row >> 2) * BYTES;
            touched += next.get(BYTE, along);
            IntVector pair = IntVector.fromMemorySegment(I, v, from, LE);
            FloatVector low = pair.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector high = pair.and(upper).reinterpretAsFloats();
            FloatVector p0 = FloatVector.broadcast(F, p.get(FLOAT, pAt + 4L * row));
            low0 = low.fma(p0, low0);
            high0 = high.fma(p0, high0);
        }
        low0.intoMemorySegment(y, yAt, LE);
        high0.intoMemorySegment(y, yAt + BYTES, LE);
        return touched;
    }
}
