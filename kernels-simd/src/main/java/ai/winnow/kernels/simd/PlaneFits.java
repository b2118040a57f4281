package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.HALF;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KvShape;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Products of query heads with the units of a page of a plane {@code [width, units]}, in f32 but where it says otherwise. All places are addresses. The results lie by heads,
 * {@code pitch} bytes apart.
 */
final class PlaneFits {

    /** Heads that are computed together. */
    static final int HEADS = 4;

    private PlaneFits() {}

    /**
     * Of single keys: a lane a key, four vectors at once.
     *
     * @param queries {@code [width, 4]}
     */
    static void ofKeys(long page, long queries, int width, long y, long pitch) {
        for (int block = 0; block < KvShape.PAGE_ROWS; block += 4 * COUNT) {
            ofFourVectors(page + 4L * block, queries, width, y + 4L * block, pitch);
        }
    }

    private static void ofFourVectors(long x, long queries, int width, long y, long pitch) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        FloatVector b0 = a0;
        FloatVector b1 = a0;
        FloatVector b2 = a0;
        FloatVector b3 = a0;
        FloatVector c0 = a0;
        FloatVector c1 = a0;
        FloatVector c2 = a0;
        FloatVector c3 = a0;
        FloatVector d0 = a0;
        FloatVector d1 = a0;
        FloatVector d2 = a0;
        FloatVector d3 = a0;
        long q = queries;
        for (long end = x + 4L * KvShape.PAGE_ROWS * width; x != end; x += 4L * KvShape.PAGE_ROWS, q += 16) {
            FloatVector k0 = FloatVector.fromMemorySegment(F, ALL, x, LE);
            FloatVector k1 = FloatVector.fromMemorySegment(F, ALL, x + 4L * COUNT, LE);
            FloatVector k2 = FloatVector.fromMemorySegment(F, ALL, x + 8L * COUNT, LE);
            FloatVector k3 = FloatVector.fromMemorySegment(F, ALL, x + 12L * COUNT, LE);
            FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q));
            a0 = k0.fma(a, a0);
            a1 = k1.fma(a, a1);
            a2 = k2.fma(a, a2);
            a3 = k3.fma(a, a3);
            FloatVector b = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 4));
            b0 = k0.fma(b, b0);
            b1 = k1.fma(b, b1);
            b2 = k2.fma(b, b2);
            b3 = k3.fma(b, b3);
            FloatVector c = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 8));
            c0 = k0.fma(c, c0);
            c1 = k1.fma(c, c1);
            c2 = k2.fma(c, c2);
            c3 = k3.fma(c, c3);
            FloatVector d = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 12));
            d0 = k0.fma(d, d0);
            d1 = k1.fma(d, d1);
            d2 = k2.fma(d, d2);
            d3 = k3.fma(d, d3);
        }
        long y1 = y + pitch;
        long y2 = y1 + pitch;
        long y3 = y2 + pitch;
        a0.intoMemorySegment(ALL, y, LE);
        a1.intoMemorySegment(ALL, y + 4L * COUNT, LE);
        a2.intoMemorySegment(ALL, y + 8L * COUNT, LE);
        a3.intoMemorySegment(ALL, y + 12L * COUNT, LE);
        b0.intoMemorySegment(ALL, y1, LE);
        b1.intoMemorySegment(ALL, y1 + 4L * COUNT, LE);
        b2.intoMemorySegment(ALL, y1 + 8L * COUNT, LE);
        b3.intoMemorySegment(ALL, y1 + 12L * COUNT, LE);
        c0.intoMemorySegment(ALL, y2, LE);
        c1.intoMemorySegment(ALL, y2 + 4L * COUNT, LE);
        c2.intoMemorySegment(ALL, y2 + 8L * COUNT, LE);
        c3.intoMemorySegment(ALL, y2 + 12L * COUNT, LE);
        d0.intoMemorySegment(ALL, y3, LE);
        d1.intoMemorySegment(ALL, y3 + 4L * COUNT, LE);
        d2.intoMemorySegment(ALL, y3 + 8L * COUNT, LE);
        d3.intoMemorySegment(ALL, y3 + 12L * COUNT, LE);
    }

    /**
     * Of single keys and four heads, the greatest of each key, from a page as it lies.
     *
     * @param queries {@code [width, 4]}
     */
    static void greatestOfKeys(boolean bf16, long page, long queries, int width, long y) {
        for (int block = 0; block < KvShape.PAGE_ROWS; block += 4 * COUNT) {
            if (bf16) {
                greatestOfKeysBf16(page + 2L * block, queries, width, y + 4L * block);
            } else {
                greatestOfKeysF32(page + 4L * block, queries, width, y + 4L * block);
            }
        }
    }

    private static void greatestOfKeysBf16(long page, long queries, int width, long y) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        FloatVector b0 = a0;
        FloatVector b1 = a0;
        FloatVector b2 = a0;
        FloatVector b3 = a0;
        FloatVector c0 = a0;
        FloatVector c1 = a0;
        FloatVector c2 = a0;
        FloatVector c3 = a0;
        FloatVector d0 = a0;
        FloatVector d1 = a0;
        FloatVector d2 = a0;
        FloatVector d3 = a0;
        long x = page;
        long q = queries;
        for (long end = x + 2L * KvShape.PAGE_ROWS * width; x != end; x += 2L * KvShape.PAGE_ROWS, q += 16) {
            FloatVector k0 = ((IntVector)
                            ShortVector.fromMemorySegment(HALF, ALL, x, LE).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats();
            FloatVector k1 = ((IntVector) ShortVector.fromMemorySegment(HALF, ALL, x + 2L * COUNT, LE)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats();
            FloatVector k2 = ((IntVector) ShortVector.fromMemorySegment(HALF, ALL, x + 4L * COUNT, LE)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats();
            FloatVector k3 = ((IntVector) ShortVector.fromMemorySegment(HALF, ALL, x + 6L * COUNT, LE)
                            .convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats();
            FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q));
            a0 = k0.fma(a, a0);
            a1 = k1.fma(a, a1);
            a2 = k2.fma(a, a2);
            a3 = k3.fma(a, a3);
            FloatVector b = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 4));
            b0 = k0.fma(b, b0);
            b1 = k1.fma(b, b1);
            b2 = k2.fma(b, b2);
            b3 = k3.fma(b, b3);
            FloatVector c = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 8));
            c0 = k0.fma(c, c0);
            c1 = k1.fma(c, c1);
            c2 = k2.fma(c, c2);
            c3 = k3.fma(c, c3);
            FloatVector d = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 12));
            d0 = k0.fma(d, d0);
            d1 = k1.fma(d, d1);
            d2 = k2.fma(d, d2);
            d3 = k3.fma(d, d3);
        }
        a0.max(b0).max(c0.max(d0)).intoMemorySegment(ALL, y, LE);
        a1.max(b1).max(c1.max(d1)).intoMemorySegment(ALL, y + 4L * COUNT, LE);
        a2.max(b2).max(c2.max(d2)).intoMemorySegment(ALL, y + 8L * COUNT, LE);
        a3.max(b3).max(c3.max(d3)).intoMemorySegment(ALL, y + 12L * COUNT, LE);
    }

    private static void greatestOfKeysF32(long page, long queries, int width, long y) {
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        FloatVector b0 = a0;
        FloatVector b1 = a0;
        FloatVector b2 = a0;
        FloatVector b3 = a0;
        FloatVector c0 = a0;
        FloatVector c1 = a0;
        FloatVector c2 = a0;
        FloatVector c3 = a0;
        FloatVector d0 = a0;
        FloatVector d1 = a0;
        FloatVector d2 = a0;
        FloatVector d3 = a0;
        long x = page;
        long q = queries;
        for (long end = x + 4L * KvShape.PAGE_ROWS * width; x != end; x += 4L * KvShape.PAGE_ROWS, q += 16) {
            FloatVector k0 = FloatVector.fromMemorySegment(F, ALL, x, LE);
            FloatVector k1 = FloatVector.fromMemorySegment(F, ALL, x + 4L * COUNT, LE);
            FloatVector k2 = FloatVector.fromMemorySegment(F, ALL, x + 8L * COUNT, LE);
            FloatVector k3 = FloatVector.fromMemorySegment(F, ALL, x + 12L * COUNT, LE);
            FloatVector a = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q));
            a0 = k0.fma(a, a0);
            a1 = k1.fma(a, a1);
            a2 = k2.fma(a, a2);
            a3 = k3.fma(a, a3);
            FloatVector b = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 4));
            b0 = k0.fma(b, b0);
            b1 = k1.fma(b, b1);
            b2 = k2.fma(b, b2);
            b3 = k3.fma(b, b3);
            FloatVector c = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 8));
            c0 = k0.fma(c, c0);
            c1 = k1.fma(c, c1);
            c2 = k2.fma(c, c2);
            c3 = k3.fma(c, c3);
            FloatVector d = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, q + 12));
            d0 = k0.fma(d, d0);
            d1 = k1.fma(d, d1);
            d2 = k2.fma(d, d2);
            d3 = k3.fma(d, d3);
        }
        a0.max(b0).max(c0.max(d0)).intoMemorySegment(ALL, y, LE);
        a1.max(b1).max(c1.max(d1)).intoMemorySegment(ALL, y + 4L * COUNT, LE);
        a2.max(b2).max(c2.max(d2)).intoMemorySegment(ALL, y + 8L * COUNT, LE);
        a3.max(b3).max(c3.max(d3)).intoMemorySegment(ALL, y + 12L * COUNT, LE);
    }

    /**
     * Of units of several keys, of which a vector holds some numbers of each.
     *
     * @param queries four heads {@code [width, units]}, each number once for each unit; {@code queryPitch} bytes apart
     * @param units 1, 2 or 4
     * @param scratch four vectors
     */
    static void ofUnits(
            long page, long queries, long queryPitch, int width, int units, long y, long pitch, long scratch) {
        int count = width * units;
        int whole = F.loopBound(count);
        wholeVectors(page, queries, queryPitch, whole, scratch);
        for (int head = 0; head < HEADS; head++) {
            for (int unit = 0; unit < units; unit++) {
                float fit = 0;
                for (int i = unit; i < COUNT; i += units) {
                    fit += ALL.get(FLOAT, scratch + 4L * (head * COUNT + i));
                }
                for (int i = whole + unit; i < count; i += units) {
                    fit = Math.fma(
                            ALL.get(FLOAT, page + 4L * i), ALL.get(FLOAT, queries + head * queryPitch + 4L * i), fit);
                }
                ALL.set(FLOAT, y + head * pitch + 4L * unit, fit);
            }
        }
    }

    private static void wholeVectors(long x, long q0, long queryPitch, int count, long y) {
        FloatVector a = FloatVector.zero(F);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        long q1 = q0 + queryPitch;
        long q2 = q1 + queryPitch;
        long q3 = q2 + queryPitch;
        long bytes = 4L * count;
        for (long at = 0; at != bytes; at += 4L * COUNT) {
            FloatVector k = FloatVector.fromMemorySegment(F, ALL, x + at, LE);
            a = k.fma(FloatVector.fromMemorySegment(F, ALL, q0 + at, LE), a);
            b = k.fma(FloatVector.fromMemorySegment(F, ALL, q1 + at, LE), b);
            c = k.fma(FloatVector.fromMemorySegment(F, ALL, q2 + at, LE), c);
            d = k.fma(FloatVector.fromMemorySegment(F, ALL, q3 + at, LE), d);
        }
        a.intoMemorySegment(ALL, y, LE);
        b.intoMemorySegment(ALL, y + 4L * COUNT, LE);
        c.intoMemorySegment(ALL, y + 8L * COUNT, LE);
        d.intoMemorySegment(ALL, y + 12L * COUNT, LE);
    }
}
