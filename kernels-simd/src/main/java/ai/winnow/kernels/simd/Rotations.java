package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;

/** Rotary position embedding of one head: pair i, (a, b), becomes (a cos - b sin, b cos + a sin). Everything lies in L1. */
final class Rotations {

    /** Each of the first half of the lanes twice. */
    private static final VectorShuffle<Float> TWICE = VectorShuffle.fromOp(F, i -> i / 2);

    private static final VectorShuffle<Float> SWAP = VectorShuffle.fromOp(F, i -> i ^ 1);
    private static final VectorMask<Float> EVEN = VectorMask.fromLong(F, 0x5555_5555_5555_5555L);

    private Rotations() {}

    /** Pairs i and i + half. */
    static void halfSplit(long x, long cos, long sin, long angleAt, long y, int half) {
        long apart = 4L * half;
        int whole = F.loopBound(half);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector a = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            FloatVector b = FloatVector.fromMemorySegment(F, ALL, x + apart + 4L * i, LE);
            FloatVector c = FloatVector.fromMemorySegment(F, ALL, cos + angleAt + 4L * i, LE);
            FloatVector s = FloatVector.fromMemorySegment(F, ALL, sin + angleAt + 4L * i, LE);
            a.mul(c).sub(b.mul(s)).intoMemorySegment(ALL, y + 4L * i, LE);
            b.mul(c).add(a.mul(s)).intoMemorySegment(ALL, y + apart + 4L * i, LE);
        }
        for (int i = whole; i < half; i++) {
            pair(x + 4L * i, cos, sin, angleAt + 4L * i, y + 4L * i, apart);
        }
    }

    /** Pairs 2 i and 2 i + 1. */
    static void interleaved(long x, long cos, long sin, long angleAt, long y, int half) {
        // A step reads a whole vector of angles and uses half of it.
        int i = 0;
        for (; i <= half - COUNT; i += COUNT / 2) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 8L * i, LE);
            FloatVector c = FloatVector.fromMemorySegment(F, ALL, cos + angleAt + 4L * i, LE)
                    .rearrange(TWICE);
            FloatVector s = FloatVector.fromMemorySegment(F, ALL, sin + angleAt + 4L * i, LE)
                    .rearrange(TWICE);
            FloatVector straight = value.mul(c);
            FloatVector crossed = value.rearrange(SWAP).mul(s);
            straight.add(crossed).blend(straight.sub(crossed), EVEN).intoMemorySegment(ALL, y + 8L * i, LE);
        }
        for (; i < half; i++) {
            pair(x + 8L * i, cos, sin, angleAt + 4L * i, y + 8L * i, 4);
        }
    }

    /** One pair, {@code apart} bytes apart, with the same arithmetic. */
    private static void pair(long x, long cos, long sin, long angleAt, long y, long apart) {
        float a = ALL.get(FLOAT, x);
        float b = ALL.get(FLOAT, x + apart);
        float c = ALL.get(FLOAT, cos + angleAt);
        float s = ALL.get(FLOAT, sin + angleAt);
        ALL.set(FLOAT, y, a * c - b * s);
        ALL.set(FLOAT, y + apart, b * c + a * s);
    }
}
