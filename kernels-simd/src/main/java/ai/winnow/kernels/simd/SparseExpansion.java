package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.HALF;
import static ai.winnow.kernels.simd.Lanes.I;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.DType;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Expands some inputs of a unit of a sparse weight to f32 in panels [panel][depth][WIDTH]. Each method returns how many values lie before the next one
 * to read.
 */
final class SparseExpansion {

    private static final int UNIT = 16;

    private SparseExpansion() {}

    /** Where output {@code o} of input 0 lies. */
    private static long place(long panels, int depth, int o) {
        return panels + 4L * depth * (o - o % WIDTH) + 4L * (o % WIDTH);
    }

    /** 16 outputs from {@code o} on by their masks; zeros are written too. Only where expand is fast. */
    static long masks(DType type, long masks, long values, long cursor, int depth, long panels, int o) {
        long to = place(panels, depth, o);
        if (type == DType.F32) {
            long next = COUNT == UNIT
                    ? floats(masks, values + 4 * cursor, depth, to)
                    : floatHalves(masks, values + 4 * cursor, depth, to);
            return (next - values) / 4;
        }
        long next = COUNT == UNIT
                ? brainFloats(masks, values + 2 * cursor, depth, to)
                : brainFloatHalves(masks, values + 2 * cursor, depth, to);
        return (next - values) / 2;
    }

    private static long floats(long m, long from, int depth, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = ALL.get(SHORT, m + 2L * k) & 0xffff;
            FloatVector.fromMemorySegment(F, ALL, v, LE)
                    .expand(VectorMask.fromLong(F, mask))
                    .intoMemorySegment(ALL, to + 4L * WIDTH * k, LE);
            v += 4L * Integer.bitCount(mask);
        }
        return v;
    }

    private static long floatHalves(long m, long from, int depth, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = ALL.get(SHORT, m + 2L * k) & 0xffff;
            FloatVector.fromMemorySegment(F, ALL, v, LE)
                    .expand(VectorMask.fromLong(F, mask & 0xff))
                    .intoMemorySegment(ALL, to + 4L * WIDTH * k, LE);
            FloatVector.fromMemorySegment(F, ALL, v + 4L * Integer.bitCount(mask & 0xff), LE)
                    .expand(VectorMask.fromLong(F, mask >>> 8))
                    .intoMemorySegment(ALL, to + 4L * WIDTH * k + 4L * COUNT, LE);
            v += 4L * Integer.bitCount(mask);
        }
        return v;
    }

    private static long brainFloats(long m, long from, int depth, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = ALL.get(SHORT, m + 2L * k) & 0xffff;
            ((IntVector) ShortVector.fromMemorySegment(HALF, ALL, v, LE).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .expand(VectorMask.fromLong(F, mask))
                    .intoMemorySegment(ALL, to + 4L * WIDTH * k, LE);
            v += 2L * Integer.bitCount(mask);
        }
        return v;
    }

    private static long brainFloatHalves(long m, long from, int depth, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = ALL.get(SHORT, m + 2L * k) & 0xffff;
            long high = v + 2L * Integer.bitCount(mask & 0xff);
            ((IntVector) ShortVector.fromMemorySegment(HALF, ALL, v, LE).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .expand(VectorMask.fromLong(F, mask & 0xff))
                    .intoMemorySegment(ALL, to + 4L * WIDTH * k, LE);
            ((IntVector) ShortVector.fromMemorySegment(HALF, ALL, high, LE).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .expand(VectorMask.fromLong(F, mask >>> 8))
                    .intoMemorySegment(ALL, to + 4L * WIDTH * k + 4L * COUNT, LE);
            v += 2L * Integer.bitCount(mask);
        }
        return v;
    }

    /** The blocks of 16 outputs from {@code o} on, into zeros. */
    static long blocks(
            DType type, long columns, long values, long cursor, long end, int j, int depth, long panels, int o) {
        long block = cursor;
        while (block < end) {
            int k = (ALL.get(SHORT, columns + 2 * block) & 0xffff) - j;
            if (k >= depth) {
                break;
            }
            for (int lane = 0; lane < UNIT; lane += COUNT) {
                long to = place(panels, depth, o + lane) + 4L * WIDTH * k;
                FloatVector block16 = type == DType.F32
                        ? FloatVector.fromMemorySegment(F, ALL, values + 4 * (UNIT * block + lane), LE)
                        : ((IntVector) ShortVector.fromMemorySegment(HALF, ALL, values + 2 * (UNIT * block + lane), LE)
                                        .convertShape(VectorOperators.S2I, I, 0))
                                .lanewise(VectorOperators.LSHL, 16)
                                .reinterpretAsFloats();
                block16.intoMemorySegment(ALL, to, LE);
            }
            block++;
        }
        return block;
    }

    /** Output {@code o}, into zeros. */
    static long row(
            DType type, long columns, long values, long cursor, long end, int j, int depth, long panels, int o) {
        long to = place(panels, depth, o);
        long at = cursor;
        while (at < end) {
            int k = (ALL.get(SHORT, columns + 2 * at) & 0xffff) - j;
            if (k >= depth) {
                break;
            }
            float value = type == DType.F32
                    ? ALL.get(FLOAT, values + 4 * at)
                    : Float.intBitsToFloat(ALL.get(SHORT, values + 2 * at) << 16);
            ALL.set(FLOAT, to + 4L * WIDTH * k, value);
            at++;
        }
        return at;
    }
}
