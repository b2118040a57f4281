package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.HALF;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.QUARTER;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.DType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/** Runs of elements from one type to another. Traffic: each side once. */
final class Conversions {

    /** Added to a float of small magnitude, rounds it to a whole number, half to even, which the lowest byte then holds. */
    private static final float TO_WHOLE = 0x1.8p23f;

    private static final int MAGNITUDE = 0x7fff_ffff;
    private static final int INFINITY = 0x7f80_0000;

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
        FloatVector times = FloatVector.broadcast(F, scale);
        int i = 0;
        for (; i <= n - QUARTER.length(); i += COUNT) {
            ByteVector bytes = ByteVector.fromMemorySegment(QUARTER, ALL, from + i, LE);
            ((FloatVector) bytes.convertShape(VectorOperators.B2F, F, 0))
                    .mul(times)
                    .intoMemorySegment(ALL, to + 4L * i, LE);
        }
        for (; i < n; i++) {
            ALL.set(FLOAT, to + 4L * i, ALL.get(Lanes.BYTE, from + i) * scale);
        }
    }

    /** Writes int8 elements and returns their scale, as {@link ai.winnow.ir.KvShape#put} says. */
    static float floatToInt8(long from, long to, int n) {
        int greatest = 0;
        for (int i = 0; i < n; i++) {
            greatest = Math.max(greatest, ALL.get(INT, from + 4L * i) & MAGNITUDE); // NaN is above infinity
        }
        float scale = greatest < INFINITY ? Float.intBitsToFloat(greatest) / Byte.MAX_VALUE : Float.NaN;
        boolean some = scale > 0;
        for (int i = 0; i < n; i++) {
            float x = ALL.get(FLOAT, from + 4L * i) / scale;
            float whole = Math.min(Math.max(x, -Byte.MAX_VALUE), Byte.MAX_VALUE) + TO_WHOLE;
            ALL.set(Lanes.BYTE, to + i, some ? (byte) Float.floatToRawIntBits(whole) : 0);
        }
        return scale;
    }
}
