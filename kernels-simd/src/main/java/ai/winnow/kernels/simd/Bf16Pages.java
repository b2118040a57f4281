package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.ODD_LANES;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;

/**
 * One query head over rows of a page of bf16 keys or values {@code [64, headDim]}.
 *
 * <p>One int load brings two neighbouring elements a lane, so queries and sums are in groups of [evens][odds] (see {@link
 * RowOrder#pair} and {@link ColumnOrder#finishPaired}).
 *
 * <p>No loop over the head dimension: the query, or the sums, stay in registers, and a step is straight-line code for several rows.
 * C2 ruins shorter bodies on native memory: it unrolls them itself, hoists the loads and spills. Traffic: the page once.
 */
final class Bf16Pages {

    private static final long BYTES = 4L * COUNT;
    private static final long AT1 = BYTES;
    private static final long AT2 = 2 * BYTES;
    private static final long AT3 = 3 * BYTES;
    private static final long AT4 = 4 * BYTES;
    private static final long AT5 = 5 * BYTES;
    private static final long AT6 = 6 * BYTES;
    private static final long AT7 = 7 * BYTES;

    private static final int HIGH = 0xffff0000;

    /** Two sums to one vector that has the first in the lanes whose number has not bit 1, the second in those whose has; {@link Lanes#ODD_LANES} does it by bit 0. */
    private static final VectorMask<Float> BIT1 = VectorMask.fromLong(F, 0xcccc_cccc_cccc_ccccL);

    private static final VectorShuffle<Float> SWAP1 = VectorShuffle.fromOp(F, i -> i ^ 1);
    private static final VectorShuffle<Float> SWAP2 = VectorShuffle.fromOp(F, i -> i ^ 2);

    private Bf16Pages() {}

    /** Whether rows of {@code headDim} elements are read here. */
    static boolean takes(int headDim) {
        return headDim == 4 * COUNT || headDim == 6 * COUNT || headDim == 8 * COUNT;
    }

    /** s[key] = q . k[key]. Reads whole groups of four rows and writes a vector more than {@code count} scores. */
    static void scores(long k, int headDim, long q, long s, int count) {
        switch (headDim / COUNT) {
            case 4 -> scoresFour(k, q, s, count);
            case 6 -> scoresSix(k, q, s, count);
            default -> scoresEight(k, q, s, count);
        }
    }

    /** y += sum of p[row] * v[row]. */
    static void weigh(long v, int headDim, long p, long y, int count) {
        switch (headDim / COUNT) {
            case 4 -> {
                int rest = weighFour(v, p, y, 0, count);
                weighFourOne(v, p, y, rest, count);
            }
            case 6 -> {
                int rest = weighSix(v, p, y, 0, count);
                weighSixOne(v, p, y, rest, count);
            }
            default -> {
                int rest = weighEight(v, p, y, 0, count);
                weighEightOne(v, p, y, rest, count);
            }
        }
    }

    /** 4 vectors a row. */
    private static void scoresFour(long k, long q, long s, int count) {
        long rowBytes = 2L * BYTES;
        FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, q, LE);
        FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, q + AT1, LE);
        FloatVector q2 = FloatVector.fromMemorySegment(F, ALL, q + AT2, LE);
        FloatVector q3 = FloatVector.fromMemorySegment(F, ALL, q + AT3, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        for (int key = 0; key < count; key += 4) {
            long k0 = k + key * rowBytes;
            long k1 = k0 + rowBytes;
            long k2 = k1 + rowBytes;
            long k3 = k2 + rowBytes;
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, k0, LE);
            FloatVector s0 =
                    w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s0 = w00.and(upper).reinterpretAsFloats().fma(q1, s0);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, k1, LE);
            FloatVector s1 =
                    w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s1 = w01.and(upper).reinterpretAsFloats().fma(q1, s1);
            IntVector w02 = IntVector.fromMemorySegment(I, ALL, k2, LE);
            FloatVector s2 =
                    w02.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s2 = w02.and(upper).reinterpretAsFloats().fma(q1, s2);
            IntVector w03 = IntVector.fromMemorySegment(I, ALL, k3, LE);
            FloatVector s3 =
                    w03.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s3 = w03.and(upper).reinterpretAsFloats().fma(q1, s3);
            IntVector w10 = IntVector.fromMemorySegment(I, ALL, k0 + AT1, LE);
            s0 = w10.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s0);
            s0 = w10.and(upper).reinterpretAsFloats().fma(q3, s0);
            IntVector w11 = IntVector.fromMemorySegment(I, ALL, k1 + AT1, LE);
            s1 = w11.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s1);
            s1 = w11.and(upper).reinterpretAsFloats().fma(q3, s1);
            IntVector w12 = IntVector.fromMemorySegment(I, ALL, k2 + AT1, LE);
            s2 = w12.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s2);
            s2 = w12.and(upper).reinterpretAsFloats().fma(q3, s2);
            IntVector w13 = IntVector.fromMemorySegment(I, ALL, k3 + AT1, LE);
            s3 = w13.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s3);
            s3 = w13.and(upper).reinterpretAsFloats().fma(q3, s3);
            FloatVector low =
                    s0.blend(s1, ODD_LANES).add(s1.blend(s0, ODD_LANES).rearrange(SWAP1));
            FloatVector high =
                    s2.blend(s3, ODD_LANES).add(s3.blend(s2, ODD_LANES).rearrange(SWAP1));
            FloatVector sum = low.blend(high, BIT1).add(high.blend(low, BIT1).rearrange(SWAP2));
            if (COUNT > 8) {
                sum = sum.add(sum.rearrange(Lanes.FOLD8));
            }
            if (COUNT > 4) {
                sum = sum.add(sum.rearrange(Lanes.FOLD4));
            }
            sum.intoMemorySegment(ALL, s + 4L * key, LE);
        }
    }

    /** 6 vectors a row. */
    private static void scoresSix(long k, long q, long s, int count) {
        long rowBytes = 3L * BYTES;
        FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, q, LE);
        FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, q + AT1, LE);
        FloatVector q2 = FloatVector.fromMemorySegment(F, ALL, q + AT2, LE);
        FloatVector q3 = FloatVector.fromMemorySegment(F, ALL, q + AT3, LE);
        FloatVector q4 = FloatVector.fromMemorySegment(F, ALL, q + AT4, LE);
        FloatVector q5 = FloatVector.fromMemorySegment(F, ALL, q + AT5, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        for (int key = 0; key < count; key += 2) {
            long k0 = k + key * rowBytes;
            long k1 = k0 + rowBytes;
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, k0, LE);
            FloatVector s0 =
                    w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s0 = w00.and(upper).reinterpretAsFloats().fma(q1, s0);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, k1, LE);
            FloatVector s1 =
                    w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s1 = w01.and(upper).reinterpretAsFloats().fma(q1, s1);
            IntVector w10 = IntVector.fromMemorySegment(I, ALL, k0 + AT1, LE);
            s0 = w10.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s0);
            s0 = w10.and(upper).reinterpretAsFloats().fma(q3, s0);
            IntVector w11 = IntVector.fromMemorySegment(I, ALL, k1 + AT1, LE);
            s1 = w11.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s1);
            s1 = w11.and(upper).reinterpretAsFloats().fma(q3, s1);
            IntVector w20 = IntVector.fromMemorySegment(I, ALL, k0 + AT2, LE);
            s0 = w20.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q4, s0);
            s0 = w20.and(upper).reinterpretAsFloats().fma(q5, s0);
            IntVector w21 = IntVector.fromMemorySegment(I, ALL, k1 + AT2, LE);
            s1 = w21.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q4, s1);
            s1 = w21.and(upper).reinterpretAsFloats().fma(q5, s1);
            FloatVector low =
                    s0.blend(s1, ODD_LANES).add(s1.blend(s0, ODD_LANES).rearrange(SWAP1));
            FloatVector sum = low.add(low.rearrange(SWAP2));
            if (COUNT > 8) {
                sum = sum.add(sum.rearrange(Lanes.FOLD8));
            }
            if (COUNT > 4) {
                sum = sum.add(sum.rearrange(Lanes.FOLD4));
            }
            sum.intoMemorySegment(ALL, s + 4L * key, LE);
        }
    }

    /** 8 vectors a row. */
    private static void scoresEight(long k, long q, long s, int count) {
        long rowBytes = 4L * BYTES;
        FloatVector q0 = FloatVector.fromMemorySegment(F, ALL, q, LE);
        FloatVector q1 = FloatVector.fromMemorySegment(F, ALL, q + AT1, LE);
        FloatVector q2 = FloatVector.fromMemorySegment(F, ALL, q + AT2, LE);
        FloatVector q3 = FloatVector.fromMemorySegment(F, ALL, q + AT3, LE);
        FloatVector q4 = FloatVector.fromMemorySegment(F, ALL, q + AT4, LE);
        FloatVector q5 = FloatVector.fromMemorySegment(F, ALL, q + AT5, LE);
        FloatVector q6 = FloatVector.fromMemorySegment(F, ALL, q + AT6, LE);
        FloatVector q7 = FloatVector.fromMemorySegment(F, ALL, q + AT7, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        for (int key = 0; key < count; key += 2) {
            long k0 = k + key * rowBytes;
            long k1 = k0 + rowBytes;
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, k0, LE);
            FloatVector s0 =
                    w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s0 = w00.and(upper).reinterpretAsFloats().fma(q1, s0);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, k1, LE);
            FloatVector s1 =
                    w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(q0);
            s1 = w01.and(upper).reinterpretAsFloats().fma(q1, s1);
            IntVector w10 = IntVector.fromMemorySegment(I, ALL, k0 + AT1, LE);
            s0 = w10.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s0);
            s0 = w10.and(upper).reinterpretAsFloats().fma(q3, s0);
            IntVector w11 = IntVector.fromMemorySegment(I, ALL, k1 + AT1, LE);
            s1 = w11.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q2, s1);
            s1 = w11.and(upper).reinterpretAsFloats().fma(q3, s1);
            IntVector w20 = IntVector.fromMemorySegment(I, ALL, k0 + AT2, LE);
            s0 = w20.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q4, s0);
            s0 = w20.and(upper).reinterpretAsFloats().fma(q5, s0);
            IntVector w21 = IntVector.fromMemorySegment(I, ALL, k1 + AT2, LE);
            s1 = w21.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q4, s1);
            s1 = w21.and(upper).reinterpretAsFloats().fma(q5, s1);
            IntVector w30 = IntVector.fromMemorySegment(I, ALL, k0 + AT3, LE);
            s0 = w30.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q6, s0);
            s0 = w30.and(upper).reinterpretAsFloats().fma(q7, s0);
            IntVector w31 = IntVector.fromMemorySegment(I, ALL, k1 + AT3, LE);
            s1 = w31.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(q6, s1);
            s1 = w31.and(upper).reinterpretAsFloats().fma(q7, s1);
            FloatVector low =
                    s0.blend(s1, ODD_LANES).add(s1.blend(s0, ODD_LANES).rearrange(SWAP1));
            FloatVector sum = low.add(low.rearrange(SWAP2));
            if (COUNT > 8) {
                sum = sum.add(sum.rearrange(Lanes.FOLD8));
            }
            if (COUNT > 4) {
                sum = sum.add(sum.rearrange(Lanes.FOLD4));
            }
            sum.intoMemorySegment(ALL, s + 4L * key, LE);
        }
    }

    /** 4 vectors a row, 4 rows a step. */
    private static int weighFour(long v, long p, long y, int from, int count) {
        long rowBytes = 2L * BYTES;
        FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, y, LE);
        FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, y + AT1, LE);
        FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, y + AT2, LE);
        FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, y + AT3, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        int row = from;
        for (; row <= count - 4; row += 4) {
            long v0 = v + row * rowBytes;
            long v1 = v0 + rowBytes;
            long v2 = v1 + rowBytes;
            long v3 = v2 + rowBytes;
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row));
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, v0, LE);
            y0 = w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y0);
            y1 = w00.and(upper).reinterpretAsFloats().fma(p0, y1);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, v0 + AT1, LE);
            y2 = w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y2);
            y3 = w01.and(upper).reinterpretAsFloats().fma(p0, y3);
            FloatVector p1 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row + 4));
            IntVector w10 = IntVector.fromMemorySegment(I, ALL, v1, LE);
            y0 = w10.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y0);
            y1 = w10.and(upper).reinterpretAsFloats().fma(p1, y1);
            IntVector w11 = IntVector.fromMemorySegment(I, ALL, v1 + AT1, LE);
            y2 = w11.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y2);
            y3 = w11.and(upper).reinterpretAsFloats().fma(p1, y3);
            FloatVector p2 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row + 8));
            IntVector w20 = IntVector.fromMemorySegment(I, ALL, v2, LE);
            y0 = w20.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p2, y0);
            y1 = w20.and(upper).reinterpretAsFloats().fma(p2, y1);
            IntVector w21 = IntVector.fromMemorySegment(I, ALL, v2 + AT1, LE);
            y2 = w21.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p2, y2);
            y3 = w21.and(upper).reinterpretAsFloats().fma(p2, y3);
            FloatVector p3 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row + 12));
            IntVector w30 = IntVector.fromMemorySegment(I, ALL, v3, LE);
            y0 = w30.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p3, y0);
            y1 = w30.and(upper).reinterpretAsFloats().fma(p3, y1);
            IntVector w31 = IntVector.fromMemorySegment(I, ALL, v3 + AT1, LE);
            y2 = w31.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p3, y2);
            y3 = w31.and(upper).reinterpretAsFloats().fma(p3, y3);
        }
        y0.intoMemorySegment(ALL, y, LE);
        y1.intoMemorySegment(ALL, y + AT1, LE);
        y2.intoMemorySegment(ALL, y + AT2, LE);
        y3.intoMemorySegment(ALL, y + AT3, LE);
        return row;
    }

    /** 4 vectors a row, 1 rows a step. */
    private static int weighFourOne(long v, long p, long y, int from, int count) {
        long rowBytes = 2L * BYTES;
        FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, y, LE);
        FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, y + AT1, LE);
        FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, y + AT2, LE);
        FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, y + AT3, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        int row = from;
        for (; row <= count - 1; row += 1) {
            long v0 = v + row * rowBytes;
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row));
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, v0, LE);
            y0 = w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y0);
            y1 = w00.and(upper).reinterpretAsFloats().fma(p0, y1);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, v0 + AT1, LE);
            y2 = w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y2);
            y3 = w01.and(upper).reinterpretAsFloats().fma(p0, y3);
        }
        y0.intoMemorySegment(ALL, y, LE);
        y1.intoMemorySegment(ALL, y + AT1, LE);
        y2.intoMemorySegment(ALL, y + AT2, LE);
        y3.intoMemorySegment(ALL, y + AT3, LE);
        return row;
    }

    /** 6 vectors a row, 2 rows a step. */
    private static int weighSix(long v, long p, long y, int from, int count) {
        long rowBytes = 3L * BYTES;
        FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, y, LE);
        FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, y + AT1, LE);
        FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, y + AT2, LE);
        FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, y + AT3, LE);
        FloatVector y4 = FloatVector.fromMemorySegment(F, ALL, y + AT4, LE);
        FloatVector y5 = FloatVector.fromMemorySegment(F, ALL, y + AT5, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        int row = from;
        for (; row <= count - 2; row += 2) {
            long v0 = v + row * rowBytes;
            long v1 = v0 + rowBytes;
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row));
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, v0, LE);
            y0 = w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y0);
            y1 = w00.and(upper).reinterpretAsFloats().fma(p0, y1);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, v0 + AT1, LE);
            y2 = w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y2);
            y3 = w01.and(upper).reinterpretAsFloats().fma(p0, y3);
            IntVector w02 = IntVector.fromMemorySegment(I, ALL, v0 + AT2, LE);
            y4 = w02.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y4);
            y5 = w02.and(upper).reinterpretAsFloats().fma(p0, y5);
            FloatVector p1 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row + 4));
            IntVector w10 = IntVector.fromMemorySegment(I, ALL, v1, LE);
            y0 = w10.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y0);
            y1 = w10.and(upper).reinterpretAsFloats().fma(p1, y1);
            IntVector w11 = IntVector.fromMemorySegment(I, ALL, v1 + AT1, LE);
            y2 = w11.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y2);
            y3 = w11.and(upper).reinterpretAsFloats().fma(p1, y3);
            IntVector w12 = IntVector.fromMemorySegment(I, ALL, v1 + AT2, LE);
            y4 = w12.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y4);
            y5 = w12.and(upper).reinterpretAsFloats().fma(p1, y5);
        }
        y0.intoMemorySegment(ALL, y, LE);
        y1.intoMemorySegment(ALL, y + AT1, LE);
        y2.intoMemorySegment(ALL, y + AT2, LE);
        y3.intoMemorySegment(ALL, y + AT3, LE);
        y4.intoMemorySegment(ALL, y + AT4, LE);
        y5.intoMemorySegment(ALL, y + AT5, LE);
        return row;
    }

    /** 6 vectors a row, 1 rows a step. */
    private static int weighSixOne(long v, long p, long y, int from, int count) {
        long rowBytes = 3L * BYTES;
        FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, y, LE);
        FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, y + AT1, LE);
        FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, y + AT2, LE);
        FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, y + AT3, LE);
        FloatVector y4 = FloatVector.fromMemorySegment(F, ALL, y + AT4, LE);
        FloatVector y5 = FloatVector.fromMemorySegment(F, ALL, y + AT5, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        int row = from;
        for (; row <= count - 1; row += 1) {
            long v0 = v + row * rowBytes;
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row));
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, v0, LE);
            y0 = w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y0);
            y1 = w00.and(upper).reinterpretAsFloats().fma(p0, y1);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, v0 + AT1, LE);
            y2 = w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y2);
            y3 = w01.and(upper).reinterpretAsFloats().fma(p0, y3);
            IntVector w02 = IntVector.fromMemorySegment(I, ALL, v0 + AT2, LE);
            y4 = w02.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y4);
            y5 = w02.and(upper).reinterpretAsFloats().fma(p0, y5);
        }
        y0.intoMemorySegment(ALL, y, LE);
        y1.intoMemorySegment(ALL, y + AT1, LE);
        y2.intoMemorySegment(ALL, y + AT2, LE);
        y3.intoMemorySegment(ALL, y + AT3, LE);
        y4.intoMemorySegment(ALL, y + AT4, LE);
        y5.intoMemorySegment(ALL, y + AT5, LE);
        return row;
    }

    /** 8 vectors a row, 2 rows a step. */
    private static int weighEight(long v, long p, long y, int from, int count) {
        long rowBytes = 4L * BYTES;
        FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, y, LE);
        FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, y + AT1, LE);
        FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, y + AT2, LE);
        FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, y + AT3, LE);
        FloatVector y4 = FloatVector.fromMemorySegment(F, ALL, y + AT4, LE);
        FloatVector y5 = FloatVector.fromMemorySegment(F, ALL, y + AT5, LE);
        FloatVector y6 = FloatVector.fromMemorySegment(F, ALL, y + AT6, LE);
        FloatVector y7 = FloatVector.fromMemorySegment(F, ALL, y + AT7, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        int row = from;
        for (; row <= count - 2; row += 2) {
            long v0 = v + row * rowBytes;
            long v1 = v0 + rowBytes;
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row));
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, v0, LE);
            y0 = w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y0);
            y1 = w00.and(upper).reinterpretAsFloats().fma(p0, y1);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, v0 + AT1, LE);
            y2 = w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y2);
            y3 = w01.and(upper).reinterpretAsFloats().fma(p0, y3);
            IntVector w02 = IntVector.fromMemorySegment(I, ALL, v0 + AT2, LE);
            y4 = w02.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y4);
            y5 = w02.and(upper).reinterpretAsFloats().fma(p0, y5);
            IntVector w03 = IntVector.fromMemorySegment(I, ALL, v0 + AT3, LE);
            y6 = w03.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y6);
            y7 = w03.and(upper).reinterpretAsFloats().fma(p0, y7);
            FloatVector p1 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row + 4));
            IntVector w10 = IntVector.fromMemorySegment(I, ALL, v1, LE);
            y0 = w10.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y0);
            y1 = w10.and(upper).reinterpretAsFloats().fma(p1, y1);
            IntVector w11 = IntVector.fromMemorySegment(I, ALL, v1 + AT1, LE);
            y2 = w11.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y2);
            y3 = w11.and(upper).reinterpretAsFloats().fma(p1, y3);
            IntVector w12 = IntVector.fromMemorySegment(I, ALL, v1 + AT2, LE);
            y4 = w12.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y4);
            y5 = w12.and(upper).reinterpretAsFloats().fma(p1, y5);
            IntVector w13 = IntVector.fromMemorySegment(I, ALL, v1 + AT3, LE);
            y6 = w13.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p1, y6);
            y7 = w13.and(upper).reinterpretAsFloats().fma(p1, y7);
        }
        y0.intoMemorySegment(ALL, y, LE);
        y1.intoMemorySegment(ALL, y + AT1, LE);
        y2.intoMemorySegment(ALL, y + AT2, LE);
        y3.intoMemorySegment(ALL, y + AT3, LE);
        y4.intoMemorySegment(ALL, y + AT4, LE);
        y5.intoMemorySegment(ALL, y + AT5, LE);
        y6.intoMemorySegment(ALL, y + AT6, LE);
        y7.intoMemorySegment(ALL, y + AT7, LE);
        return row;
    }

    /** 8 vectors a row, 1 rows a step. */
    private static int weighEightOne(long v, long p, long y, int from, int count) {
        long rowBytes = 4L * BYTES;
        FloatVector y0 = FloatVector.fromMemorySegment(F, ALL, y, LE);
        FloatVector y1 = FloatVector.fromMemorySegment(F, ALL, y + AT1, LE);
        FloatVector y2 = FloatVector.fromMemorySegment(F, ALL, y + AT2, LE);
        FloatVector y3 = FloatVector.fromMemorySegment(F, ALL, y + AT3, LE);
        FloatVector y4 = FloatVector.fromMemorySegment(F, ALL, y + AT4, LE);
        FloatVector y5 = FloatVector.fromMemorySegment(F, ALL, y + AT5, LE);
        FloatVector y6 = FloatVector.fromMemorySegment(F, ALL, y + AT6, LE);
        FloatVector y7 = FloatVector.fromMemorySegment(F, ALL, y + AT7, LE);
        IntVector upper = IntVector.broadcast(I, HIGH);
        int row = from;
        for (; row <= count - 1; row += 1) {
            long v0 = v + row * rowBytes;
            FloatVector p0 = FloatVector.broadcast(F, ALL.get(FLOAT, p + 4L * row));
            IntVector w00 = IntVector.fromMemorySegment(I, ALL, v0, LE);
            y0 = w00.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y0);
            y1 = w00.and(upper).reinterpretAsFloats().fma(p0, y1);
            IntVector w01 = IntVector.fromMemorySegment(I, ALL, v0 + AT1, LE);
            y2 = w01.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y2);
            y3 = w01.and(upper).reinterpretAsFloats().fma(p0, y3);
            IntVector w02 = IntVector.fromMemorySegment(I, ALL, v0 + AT2, LE);
            y4 = w02.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y4);
            y5 = w02.and(upper).reinterpretAsFloats().fma(p0, y5);
            IntVector w03 = IntVector.fromMemorySegment(I, ALL, v0 + AT3, LE);
            y6 = w03.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(p0, y6);
            y7 = w03.and(upper).reinterpretAsFloats().fma(p0, y7);
        }
        y0.intoMemorySegment(ALL, y, LE);
        y1.intoMemorySegment(ALL, y + AT1, LE);
        y2.intoMemorySegment(ALL, y + AT2, LE);
        y3.intoMemorySegment(ALL, y + AT3, LE);
        y4.intoMemorySegment(ALL, y + AT4, LE);
        y5.intoMemorySegment(ALL, y + AT5, LE);
        y6.intoMemorySegment(ALL, y + AT6, LE);
        y7.intoMemorySegment(ALL, y + AT7, LE);
        return row;
    }
}
