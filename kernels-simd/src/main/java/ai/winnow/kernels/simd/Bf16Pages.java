package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.BIT1_LANES;
import static ai.winnow.kernels.simd.Lanes.BIT2_LANES;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Lanes.ODD_LANES;
import static ai.winnow.kernels.simd.Lanes.SWAP1;
import static ai.winnow.kernels.simd.Lanes.SWAP2;
import static ai.winnow.kernels.simd.Lanes.SWAP4;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Query heads over rows of a page of bf16 keys or values {@code [rows, width]}, width a multiple of two vectors of floats: every
 * key and value is loaded once. All places are addresses; {@code touch} is the
 * state of {@link PageTouch}.
 *
 * <p>One int load brings two neighbouring elements a lane, so queries and sums lie in groups of [evens][odds] (see {@link
 * RowOrder#pair} and {@link ColumnOrder#finishPaired}). The loop over the head dimension is as in {@link F32Pages}.
 */
final class Bf16Pages {

    private static final long VECTOR = 4L * COUNT;

    /** The upper half of an int: its odd element, as a float. */
    private static final int HIGH = 0xffff0000;

    private Bf16Pages() {}

    /** s[key][head] = q[head] . k[key], of two keys a step; the heads of q lie as far apart as rows of floats. */
    static void scores(long k, long rowBytes, long q, long s, int pairs, long touch) {
        long next = ALL.get(LONG, touch);
        long nextKeys = ALL.get(LONG, touch + PageTouch.KEYS);
        long nextValues = ALL.get(LONG, touch + PageTouch.VALUES);
        int seen = 0;
        IntVector upper = IntVector.broadcast(I, HIGH);
        long q1 = q + 2 * rowBytes;
        long q2 = q + 4 * rowBytes;
        long q3 = q + 6 * rowBytes;
        for (int pair = 0; pair < pairs; pair++) {
            long k0 = k + 2L * pair * rowBytes;
            long k1 = k0 + rowBytes;
            long end = k1;
            long at = 0;
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = a0;
            FloatVector a2 = a0;
            FloatVector a3 = a0;
            FloatVector b0 = a0;
            FloatVector b1 = a0;
            FloatVector b2 = a0;
            FloatVector b3 = a0;
            while (k0 != end) {
                IntVector twoA = IntVector.fromMemorySegment(I, ALL, k0, LE);
                IntVector twoB = IntVector.fromMemorySegment(I, ALL, k1, LE);
                FloatVector a = twoA.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector b = twoB.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                FloatVector even0 = FloatVector.fromMemorySegment(F, ALL, q + at, LE);
                a0 = a.fma(even0, a0);
                b0 = b.fma(even0, b0);
                FloatVector even1 = FloatVector.fromMemorySegment(F, ALL, q1 + at, LE);
                a1 = a.fma(even1, a1);
                b1 = b.fma(even1, b1);
                FloatVector even2 = FloatVector.fromMemorySegment(F, ALL, q2 + at, LE);
                a2 = a.fma(even2, a2);
                b2 = b.fma(even2, b2);
                FloatVector even3 = FloatVector.fromMemorySegment(F, ALL, q3 + at, LE);
                a3 = a.fma(even3, a3);
                b3 = b.fma(even3, b3);
                FloatVector c = twoA.and(upper).reinterpretAsFloats();
                FloatVector d = twoB.and(upper).reinterpretAsFloats();
                FloatVector odd0 = FloatVector.fromMemorySegment(F, ALL, q + at + VECTOR, LE);
                a0 = c.fma(odd0, a0);
                b0 = d.fma(odd0, b0);
                FloatVector odd1 = FloatVector.fromMemorySegment(F, ALL, q1 + at + VECTOR, LE);
                a1 = c.fma(odd1, a1);
                b1 = d.fma(odd1, b1);
                FloatVector odd2 = FloatVector.fromMemorySegment(F, ALL, q2 + at + VECTOR, LE);
                a2 = c.fma(odd2, a2);
                b2 = d.fma(odd2, b2);
                FloatVector odd3 = FloatVector.fromMemorySegment(F, ALL, q3 + at + VECTOR, LE);
                a3 = c.fma(odd3, a3);
                b3 = d.fma(odd3, b3);
                k0 += VECTOR;
                k1 += VECTOR;
                long line = ALL.get(LONG, next);
                seen ^= ALL.get(INT, nextKeys + line) ^ ALL.get(INT, nextValues + line);
                next += 8;
                at += 2 * VECTOR;
            }
            FloatVector a01 =
                    a0.blend(a1, ODD_LANES).add(a1.blend(a0, ODD_LANES).rearrange(SWAP1));
            FloatVector a23 =
                    a2.blend(a3, ODD_LANES).add(a3.blend(a2, ODD_LANES).rearrange(SWAP1));
            FloatVector b01 =
                    b0.blend(b1, ODD_LANES).add(b1.blend(b0, ODD_LANES).rearrange(SWAP1));
            FloatVector b23 =
                    b2.blend(b3, ODD_LANES).add(b3.blend(b2, ODD_LANES).rearrange(SWAP1));
            FloatVector a =
                    a01.blend(a23, BIT1_LANES).add(a23.blend(a01, BIT1_LANES).rearrange(SWAP2));
            FloatVector b =
                    b01.blend(b23, BIT1_LANES).add(b23.blend(b01, BIT1_LANES).rearrange(SWAP2));
            if (COUNT > 4) {
                FloatVector ab =
                        a.blend(b, BIT2_LANES).add(b.blend(a, BIT2_LANES).rearrange(SWAP4));
                if (COUNT > 8) {
                    ab = ab.add(ab.rearrange(Lanes.FOLD8));
                }
                ab.intoMemorySegment(ALL, s + 32L * pair, LE);
            } else {
                a.intoMemorySegment(ALL, s + 32L * pair, LE);
                b.intoMemorySegment(ALL, s + 32L * pair + 16, LE);
            }
        }
        ALL.set(LONG, touch, next);
        ALL.set(INT, touch + PageTouch.SEEN, seen);
    }

    /** y[head] = y[head] * factor[head] + sum of p[row][head] * v[row], of two vectors in their groups; the heads of y lie as far apart as rows of floats. */
    static void weigh(long v, long rowBytes, long p, int rows, long factor, long y, long touch) {
        long next = ALL.get(LONG, touch);
        long nextKeys = ALL.get(LONG, touch + PageTouch.KEYS);
        long nextValues = ALL.get(LONG, touch + PageTouch.VALUES);
        int seen = 0;
        IntVector upper = IntVector.broadcast(I, HIGH);
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        FloatVector b0 = a0;
        FloatVector b1 = a0;
        FloatVector b2 = a0;
        FloatVector b3 = a0;
        for (int row = 0; row < rows; row++) {
            IntVector two = IntVector.fromMemorySegment(I, ALL, v + row * rowBytes, LE);
            FloatVector a = two.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector b = two.and(upper).reinterpretAsFloats();
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * row));
            a0 = a.fma(p0, a0);
            b0 = b.fma(p0, b0);
            FloatVector p1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * row + 4));
            a1 = a.fma(p1, a1);
            b1 = b.fma(p1, b1);
            FloatVector p2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * row + 8));
            a2 = a.fma(p2, a2);
            b2 = b.fma(p2, b2);
            FloatVector p3 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * row + 12));
            a3 = a.fma(p3, a3);
            b3 = b.fma(p3, b3);
            long line = ALL.get(LONG, next + 8L * row);
            seen ^= ALL.get(INT, nextKeys + line) ^ ALL.get(INT, nextValues + line);
        }
        ALL.set(LONG, touch, next + 8L * rows);
        ALL.set(INT, touch + PageTouch.SEEN, seen);
        long y1 = y + 2 * rowBytes;
        long y2 = y + 4 * rowBytes;
        long y3 = y + 6 * rowBytes;
        FloatVector f0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, factor));
        FloatVector.fromMemorySegment(F, ALL, y, LE).fma(f0, a0).intoMemorySegment(ALL, y, LE);
        FloatVector.fromMemorySegment(F, ALL, y + VECTOR, LE).fma(f0, b0).intoMemorySegment(ALL, y + VECTOR, LE);
        FloatVector f1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, factor + 4));
        FloatVector.fromMemorySegment(F, ALL, y1, LE).fma(f1, a1).intoMemorySegment(ALL, y1, LE);
        FloatVector.fromMemorySegment(F, ALL, y1 + VECTOR, LE).fma(f1, b1).intoMemorySegment(ALL, y1 + VECTOR, LE);
        FloatVector f2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, factor + 8));
        FloatVector.fromMemorySegment(F, ALL, y2, LE).fma(f2, a2).intoMemorySegment(ALL, y2, LE);
        FloatVector.fromMemorySegment(F, ALL, y2 + VECTOR, LE).fma(f2, b2).intoMemorySegment(ALL, y2 + VECTOR, LE);
        FloatVector f3 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, factor + 12));
        FloatVector.fromMemorySegment(F, ALL, y3, LE).fma(f3, a3).intoMemorySegment(ALL, y3, LE);
        FloatVector.fromMemorySegment(F, ALL, y3 + VECTOR, LE).fma(f3, b3).intoMemorySegment(ALL, y3 + VECTOR, LE);
    }

    /**
     * s[key] = q . k[key] of one head, of four keys a step. Writes a vector behind the last but three.
     */
    static void singleScores(long k, long rowBytes, long q, long s, int steps, long touch) {
        long next = ALL.get(LONG, touch);
        long nextKeys = ALL.get(LONG, touch + PageTouch.KEYS);
        long nextValues = ALL.get(LONG, touch + PageTouch.VALUES);
        int seen = 0;
        long r1 = rowBytes;
        long r2 = 2 * rowBytes;
        long r3 = 3 * rowBytes;
        IntVector upper = IntVector.broadcast(I, HIGH);
        for (int step = 0; step < steps; step++) {
            long k0 = k + 4L * step * rowBytes;
            long end = k0 + rowBytes;
            long at = q;
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = a0;
            FloatVector a2 = a0;
            FloatVector a3 = a0;
            FloatVector b0 = a0;
            FloatVector b1 = a0;
            FloatVector b2 = a0;
            FloatVector b3 = a0;
            while (k0 != end) {
                FloatVector x0 = FloatVector.fromMemorySegment(F, ALL, at, LE);
                FloatVector x1 = FloatVector.fromMemorySegment(F, ALL, at + VECTOR, LE);
                IntVector two0 = IntVector.fromMemorySegment(I, ALL, k0, LE);
                a0 = two0.lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats()
                        .fma(x0, a0);
                b0 = two0.and(upper).reinterpretAsFloats().fma(x1, b0);
                IntVector two1 = IntVector.fromMemorySegment(I, ALL, k0 + r1, LE);
                a1 = two1.lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats()
                        .fma(x0, a1);
                b1 = two1.and(upper).reinterpretAsFloats().fma(x1, b1);
                IntVector two2 = IntVector.fromMemorySegment(I, ALL, k0 + r2, LE);
                a2 = two2.lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats()
                        .fma(x0, a2);
                b2 = two2.and(upper).reinterpretAsFloats().fma(x1, b2);
                IntVector two3 = IntVector.fromMemorySegment(I, ALL, k0 + r3, LE);
                a3 = two3.lanewise(VectorOperators.LSHL, 16)
                        .reinterpretAsFloats()
                        .fma(x0, a3);
                b3 = two3.and(upper).reinterpretAsFloats().fma(x1, b3);
                k0 += VECTOR;
                long line = ALL.get(LONG, next);
                seen ^= ALL.get(INT, nextKeys + line) ^ ALL.get(INT, nextValues + line);
                next += 8;
                at += 2 * VECTOR;
            }
            a0 = a0.add(b0);
            a1 = a1.add(b1);
            a2 = a2.add(b2);
            a3 = a3.add(b3);
            FloatVector a01 =
                    a0.blend(a1, ODD_LANES).add(a1.blend(a0, ODD_LANES).rearrange(SWAP1));
            FloatVector a23 =
                    a2.blend(a3, ODD_LANES).add(a3.blend(a2, ODD_LANES).rearrange(SWAP1));
            FloatVector a =
                    a01.blend(a23, BIT1_LANES).add(a23.blend(a01, BIT1_LANES).rearrange(SWAP2));
            if (COUNT > 4) {
                a = a.add(a.rearrange(Lanes.FOLD4));
                if (COUNT > 8) {
                    a = a.add(a.rearrange(Lanes.FOLD8));
                }
            }
            a.intoMemorySegment(ALL, s + 16L * step, LE);
        }
        ALL.set(LONG, touch, next);
        ALL.set(INT, touch + PageTouch.SEEN, seen);
    }

    /**
     * y = y * factor + sum of p[row] * v[row] of one head, of two vectors: four rows a step, of which the first four addresses lie at
     * {@code from}.
     */
    static void singleWeigh(long from, long at, long step, long p, int steps, long factor, long y, long touch) {
        long next = ALL.get(LONG, touch);
        long nextKeys = ALL.get(LONG, touch + PageTouch.KEYS);
        long nextValues = ALL.get(LONG, touch + PageTouch.VALUES);
        int seen = 0;
        long v0 = ALL.get(LONG, from) + at;
        long v1 = ALL.get(LONG, from + 8) + at;
        long v2 = ALL.get(LONG, from + 16) + at;
        long v3 = ALL.get(LONG, from + 24) + at;
        IntVector upper = IntVector.broadcast(I, HIGH);
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        FloatVector b0 = a0;
        FloatVector b1 = a0;
        FloatVector b2 = a0;
        FloatVector b3 = a0;
        for (int i = 0; i < steps; i++) {
            long row = i * step;
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * i));
            IntVector two0 = IntVector.fromMemorySegment(I, ALL, v0 + row, LE);
            a0 = two0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, a0);
            b0 = two0.and(upper).reinterpretAsFloats().fma(p0, b0);
            FloatVector p1 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * i + 4));
            IntVector two1 = IntVector.fromMemorySegment(I, ALL, v1 + row, LE);
            a1 = two1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, a1);
            b1 = two1.and(upper).reinterpretAsFloats().fma(p1, b1);
            FloatVector p2 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * i + 8));
            IntVector two2 = IntVector.fromMemorySegment(I, ALL, v2 + row, LE);
            a2 = two2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p2, a2);
            b2 = two2.and(upper).reinterpretAsFloats().fma(p2, b2);
            FloatVector p3 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, p + 16L * i + 12));
            IntVector two3 = IntVector.fromMemorySegment(I, ALL, v3 + row, LE);
            a3 = two3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p3, a3);
            b3 = two3.and(upper).reinterpretAsFloats().fma(p3, b3);
            long line0 = ALL.get(LONG, next + 16L * i);
            seen ^= ALL.get(INT, nextKeys + line0) ^ ALL.get(INT, nextValues + line0);
            long line1 = ALL.get(LONG, next + 16L * i + 8);
            seen ^= ALL.get(INT, nextKeys + line1) ^ ALL.get(INT, nextValues + line1);
        }
        ALL.set(LONG, touch, next + 16L * steps);
        ALL.set(INT, touch + PageTouch.SEEN, seen);
        a0 = a0.add(a2);
        b0 = b0.add(b2);
        a1 = a1.add(a3);
        b1 = b1.add(b3);
        FloatVector f0 = FloatVector.broadcast(F, ALL.get(FLOAT_ALIGNED, factor));
        FloatVector low = FloatVector.fromMemorySegment(F, ALL, y, LE);
        FloatVector high = FloatVector.fromMemorySegment(F, ALL, y + VECTOR, LE);
        low.fma(f0, a0.add(a1)).intoMemorySegment(ALL, y, LE);
        high.fma(f0, b0.add(b1)).intoMemorySegment(ALL, y + VECTOR, LE);
    }
}
