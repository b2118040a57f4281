package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Loops over f32 elements that have nothing to do with one another. Traffic: every operand once. */
final class Elementwise {

    private Elementwise() {}

    /** y = a + b. */
    static void add(long a, long b, long y, int n) {
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector left = FloatVector.fromMemorySegment(F, ALL, a + 4L * i, LE);
            FloatVector right = FloatVector.fromMemorySegment(F, ALL, b + 4L * i, LE);
            left.add(right).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        if (whole < n) {
            var mask = F.indexInRange(whole, n);
            FloatVector left = FloatVector.fromMemorySegment(F, ALL, a + 4L * whole, LE, mask);
            FloatVector right = FloatVector.fromMemorySegment(F, ALL, b + 4L * whole, LE, mask);
            left.add(right).intoMemorySegment(ALL, y + 4L * whole, LE, mask);
        }
    }

    /** y = a * b. */
    static void multiply(long a, long b, long y, int n) {
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector left = FloatVector.fromMemorySegment(F, ALL, a + 4L * i, LE);
            FloatVector right = FloatVector.fromMemorySegment(F, ALL, b + 4L * i, LE);
            left.mul(right).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        if (whole < n) {
            var mask = F.indexInRange(whole, n);
            FloatVector left = FloatVector.fromMemorySegment(F, ALL, a + 4L * whole, LE, mask);
            FloatVector right = FloatVector.fromMemorySegment(F, ALL, b + 4L * whole, LE, mask);
            left.mul(right).intoMemorySegment(ALL, y + 4L * whole, LE, mask);
        }
    }

    /** y = a * factor. The tail without a mask, which allocated at 512 bits in one of its uses. */
    static void scale(long a, float factor, long y, int n) {
        FloatVector times = FloatVector.broadcast(F, factor);
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector.fromMemorySegment(F, ALL, a + 4L * i, LE).mul(times).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        for (int i = whole; i < n; i++) {
            ALL.set(FLOAT, y + 4L * i, ALL.get(FLOAT, a + 4L * i) * factor);
        }
    }

    /** y = x unless |x| <= threshold, then 0. */
    static void threshold(long x, float threshold, long y, int n) {
        FloatVector limit = FloatVector.broadcast(F, threshold);
        FloatVector zero = FloatVector.zero(F);
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            value.blend(zero, value.abs().compare(VectorOperators.LE, limit)).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        if (whole < n) {
            var mask = F.indexInRange(whole, n);
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * whole, LE, mask);
            FloatVector kept = value.blend(zero, value.abs().compare(VectorOperators.LE, limit));
            kept.intoMemorySegment(ALL, y + 4L * whole, LE, mask);
        }
    }
}
