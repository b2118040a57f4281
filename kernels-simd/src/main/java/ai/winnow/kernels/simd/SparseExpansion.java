package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.WIDTH;
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
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Expands some inputs of a unit of a sparse weight to f32 in panels [panel][depth][WIDTH]. Each method returns how many values lie before the next one
 * to read.
 */
final class SparseExpansion {

    private static final VectorSpecies<Short> HALF = VectorSpecies.of(short.class, VectorShape.forBitSize(16 * COUNT));

    private static final int UNIT = 16;

    private SparseExpansion() {}

    /** Where output {@code o} of input 0 lies. */
    private static long place(long panelsAt, int depth, int o) {
        return panelsAt + 4L * depth * (o - o % WIDTH) + 4L * (o % WIDTH);
    }

    /** 16 outputs from {@code o} on by their masks; zeros are written too. Only where expand is fast. */
    static long masks(
            DType type,
            MemorySegment w,
            long masksAt,
            long valuesAt,
            long cursor,
            int depth,
            MemorySegment panels,
            long panelsAt,
            int o) {
        long to = place(panelsAt, depth, o);
        if (type == DType.F32) {
            long next = COUNT == UNIT
                    ? floats(w, masksAt, valuesAt + 4 * cursor, depth, panels, to)
                    : floatHalves(w, masksAt, valuesAt + 4 * cursor, depth, panels, to);
            return (next - valuesAt) / 4;
        }
        long next = COUNT == UNIT
                ? brainFloats(w, masksAt, valuesAt + 2 * cursor, depth, panels, to)
                : brainFloatHalves(w, masksAt, valuesAt + 2 * cursor, depth, panels, to);
        return (next - valuesAt) / 2;
    }

    private static long floats(MemorySegment w, long m, long from, int depth, MemorySegment panels, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = w.get(SHORT, m + 2L * k) & 0xffff;
            FloatVector.fromMemorySegment(F, w, v, LE)
                    .expand(VectorMask.fromLong(F, mask))
                    .intoMemorySegment(panels, to + 4L * WIDTH * k, LE);
            v += 4L * Integer.bitCount(mask);
        }
        return v;
    }

    private static long floatHalves(MemorySegment w, long m, long from, int depth, MemorySegment panels, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = w.get(SHORT, m + 2L * k) & 0xffff;
            FloatVector.fromMemorySegment(F, w, v, LE)
                    .expand(VectorMask.fromLong(F, mask & 0xff))
                    .intoMemorySegment(panels, to + 4L * WIDTH * k, LE);
            FloatVector.fromMemorySegment(F, w, v + 4L * Integer.bitCount(mask & 0xff), LE)
                    .expand(VectorMask.fromLong(F, mask >>> 8))
                    .intoMemorySegment(panels, to + 4L * WIDTH * k + 4L * COUNT, LE);
            v += 4L * Integer.bitCount(mask);
        }
        return v;
    }

    private static long brainFloats(MemorySegment w, long m, long from, int depth, MemorySegment panels, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = w.get(SHORT, m + 2L * k) & 0xffff;
            ((IntVector) ShortVector.fromMemorySegment(HALF, w, v, LE).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .expand(VectorMask.fromLong(F, mask))
                    .intoMemorySegment(panels, to + 4L * WIDTH * k, LE);
            v += 2L * Integer.bitCount(mask);
        }
        return v;
    }

    private static long brainFloatHalves(MemorySegment w, long m, long from, int depth, MemorySegment panels, long to) {
        long v = from;
        for (int k = 0; k < depth; k++) {
            int mask = w.get(SHORT, m + 2L * k) & 0xffff;
            long high = v + 2L * Integer.bitCount(mask & 0xff);
            ((IntVector) ShortVector.fromMemorySegment(HALF, w, v, LE).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .expand(VectorMask.fromLong(F, mask & 0xff))
                    .intoMemorySegment(panels, to + 4L * WIDTH * k, LE);
            ((IntVector) ShortVector.fromMemorySegment(HALF, w, high, LE).convertShape(VectorOperators.S2I, I, 0))
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .expand(VectorMask.fromLong(F, mask >>> 8))
                    .intoMemorySegment(panels, to + 4L * WIDTH * k + 4L * COUNT, LE);
            v += 2L * Integer.bitCount(mask);
        }
        return v;
    }

    /** The blocks of 16 outputs from {@code o} on, into zeros. */
    static long blocks(
            DType type,
            MemorySegment w,
            long columnsAt,
            long valuesAt,
            long cursor,
            long end,
            int j,
            int depth,
            MemorySegment panels,
            long panelsAt,
            int o) {
        long block = cursor;
        while (block < end) {
            int k = (w.get(SHORT, columnsAt + 2 * block) & 0xffff) - j;
            if (k >= depth) {
                break;
            }
            for (int lane = 0; lane < UNIT; lane += COUNT) {
                long to = place(panelsAt, depth, o + lane) + 4L * WIDTH * k;
                FloatVector values = type == DType.F32
                        ? FloatVector.fromMemorySegment(F, w, valuesAt + 4 * (UNIT * block + lane), LE)
                        : ((IntVector) ShortVector.fromMemorySegment(HALF, w, valuesAt + 2 * (UNIT * block + lane), LE)
                                        .convertShape(VectorOperators.S2I, I, 0))
                                .lanewise(VectorOperators.LSHL, 16)
                                .reinterpretAsFloats();
                values.intoMemorySegment(panels, to, LE);
            }
            block++;
        }
        return block;
    }

    /** Output {@code o}, into zeros. */
    static long row(
            DType type,
            MemorySegment w,
            long columnsAt,
            long valuesAt,
            long cursor,
            long end,
            int j,
            int depth,
            MemorySegment panels,
            long panelsAt,
            int o) {
        long to = place(panelsAt, depth, o);
        long at = cursor;
        while (at < end) {
            int k = (w.get(SHORT, columnsAt + 2 * at) & 0xffff) - j;
            if (k >= depth) {
                break;
            }
            float value = type == DType.F32
                    ? w.get(FLOAT, valuesAt + 4 * at)
                    : Float.intBitsToFloat(w.get(SHORT, valuesAt + 2 * at) << 16);
            panels.set(FLOAT, to + 4L * WIDTH * k, value);
            at++;
        }
        return at;
    }
}
