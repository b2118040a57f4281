package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.DType;
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
    static void bf16ToFloat(long from, long to, int n) {
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            ShortVector bits = ShortVector.fromMemorySegment(HALF, ALL, from + 2L * i, LE);
            IntVector wide =
                    ((IntVector) bits.convertShape(VectorOperators.S2I, I, 0)).lanewise(VectorOperators.LSHL, 16);
            wide.intoMemorySegment(ALL, to + 4L * i, LE);
        }
        for (; i < n; i++) {
            ALL.set(FLOAT, to + 4L * i, DType.bf16ToFloat(ALL.get(SHORT, from + 2L * i)));
        }
    }

    /** Narrows to bf16, to nearest even; NaN stays NaN. */
    static void floatToBf16(long from, long to, int n) {
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, from + 4L * i, LE);
            IntVector bits = value.reinterpretAsInts();
            IntVector odd = bits.lanewise(VectorOperators.LSHR, 16).and(1);
            IntVector rounded = bits.add(0x7fff).add(odd).lanewise(VectorOperators.LSHR, 16);
            IntVector quiet = bits.lanewise(VectorOperators.LSHR, 16).or(0x40);
            IntVector magnitude = bits.and(0x7fff_ffff);
            IntVector result = rounded.blend(quiet, magnitude.compare(VectorOperators.GT, 0x7f80_0000));
            ((ShortVector) result.convertShape(VectorOperators.I2S, HALF, 0)).intoMemorySegment(ALL, to + 2L * i, LE);
        }
        for (; i < n; i++) {
            ALL.set(SHORT, to + 2L * i, DType.floatToBf16(ALL.get(FLOAT, from + 4L * i)));
        }
    }

    /** Widens f16: exact. */
    static void f16ToFloat(long from, long to, int n) {
        for (int i = 0; i < n; i++) {
            ALL.set(FLOAT, to + 4L * i, Float.float16ToFloat(ALL.get(SHORT, from + 2L * i)));
        }
    }

    /** int8 times the scale of its row. */
    static void int8ToFloat(long from, float scale, long to, int n) {
        for (int i = 0; i < n; i++) {
            ALL.set(FLOAT, to + 4L * i, ALL.get(Lanes.BYTE, from + i) * scale);
        }
    }
}
