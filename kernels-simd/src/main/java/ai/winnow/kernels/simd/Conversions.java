package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.SHORT;

import ai.winnow.tensor.DType;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Runs of elements from one type to another. Traffic: each side once. */
final class Conversions {

    /** As many shorts as there are floats in a vector. */
    private static final VectorSpecies<Short> HALF =
            VectorSpecies.of(short.class, VectorShape.forBitSize(F.vectorBitSize() / 2));

    private Conversions() {}

    /** Widens bf16: exact. */
    static void bf16ToFloat(MemorySegment from, long fromAt, MemorySegment to, long toAt, int n) {
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            ShortVector bits = ShortVector.fromMemorySegment(HALF, from, fromAt + 2L * i, LE);
            IntVector wide =
                    ((IntVector) bits.convertShape(VectorOperators.S2I, I, 0)).lanewise(VectorOperators.LSHL, 16);
            wide.intoMemorySegment(to, toAt + 4L * i, LE);
        }
        for (; i < n; i++) {
            to.set(FLOAT, toAt + 4L * i, DType.bf16ToFloat(from.get(SHORT, fromAt + 2L * i)));
        }
    }

    /** Narrows to bf16, to nearest even; NaN stays NaN. */
    static void floatToBf16(MemorySegment from, long fromAt, MemorySegment to, long toAt, int n) {
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, from, fromAt + 4L * i, LE);
            IntVector bits = value.reinterpretAsInts();
            IntVector odd = bits.lanewise(VectorOperators.LSHR, 16).and(1);
            IntVector rounded = bits.add(0x7fff).add(odd).lanewise(VectorOperators.LSHR, 16);
            IntVector quiet = bits.lanewise(VectorOperators.LSHR, 16).or(0x40);
            IntVector magnitude = bits.and(0x7fff_ffff);
            IntVector result = rounded.blend(quiet, magnitude.compare(VectorOperators.GT, 0x7f80_0000));
            ((ShortVector) result.convertShape(VectorOperators.I2S, HALF, 0)).intoMemorySegment(to, toAt + 2L * i, LE);
        }
        for (; i < n; i++) {
            to.set(SHORT, toAt + 2L * i, DType.floatToBf16(from.get(FLOAT, fromAt + 4L * i)));
        }
    }

    /** Widens f16: exact. */
    static void f16ToFloat(MemorySegment from, long fromAt, MemorySegment to, long toAt, int n) {
        for (int i = 0; i < n; i++) {
            to.set(FLOAT, toAt + 4L * i, Float.float16ToFloat(from.get(SHORT, fromAt + 2L * i)));
        }
    }

    /** int8 times the scale of its row. */
    static void int8ToFloat(MemorySegment from, long fromAt, float scale, MemorySegment to, long toAt, int n) {
        for (int i = 0; i < n; i++) {
            to.set(FLOAT, toAt + 4L * i, from.get(Lanes.BYTE, fromAt + i) * scale);
        }
    }
}
