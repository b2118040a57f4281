package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.VECTOR;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.BYTE;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.HALF;
import static ai.winnow.kernels.simd.Lanes.I;
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

/**
 * Copies a block of a weight that is stored [in][out], {@code depth} inputs by some outputs, to panels [panel][depth][WIDTH] of f32, which the tiles read
 * in sequence. The last panel is filled up with zeros. Widening is exact. Reads each weight once, several inputs' rows side by side: one row alone is a single
 * stream, which waits for memory at the start of each piece.
 */
final class GemmPack {

    private GemmPack() {}

    /**
     * Packs {@code width} outputs of {@code depth} inputs.
     *
     * @param rowBytes distance in bytes between two inputs of w
     * @param index the int32 inputs, or 0 for those that follow one another from {@code w} on
     */
    static void run(DType type, long w, long rowBytes, long index, int depth, int width, long panels) {
        int whole = width / WIDTH;
        switch (type) {
            case F32 -> floats(w, rowBytes, index, depth, whole, panels);
            case BF16 -> brainFloats(w, rowBytes, index, depth, whole, panels);
            case F16 -> halves(w, rowBytes, index, depth, whole, panels);
            default -> bytes(w, rowBytes, index, depth, whole, panels);
        }
        if (whole * WIDTH < width) {
            long from = w + type.bytes((long) whole * WIDTH);
            long to = panels + 2 * VECTOR * depth * whole;
            rest(type, from, rowBytes, index, depth, width - whole * WIDTH, to);
        }
    }

    private static void floats(long w, long rowBytes, long index, int depth, int panelCount, long panels) {
        for (int k = 0; k < depth; k += 4) {
            // Past the end, the last row again, to the same place.
            int k1 = Math.min(k + 1, depth - 1);
            int k2 = Math.min(k + 2, depth - 1);
            int k3 = Math.min(k + 3, depth - 1);
            long from0 = w + ColumnOrder.input(index, k) * rowBytes;
            long to0 = panels + 2 * VECTOR * k;
            long from1 = w + ColumnOrder.input(index, k1) * rowBytes;
            long to1 = panels + 2 * VECTOR * k1;
            long from2 = w + ColumnOrder.input(index, k2) * rowBytes;
            long to2 = panels + 2 * VECTOR * k2;
            long from3 = w + ColumnOrder.input(index, k3) * rowBytes;
            long to3 = panels + 2 * VECTOR * k3;
            for (int p = 0; p < panelCount; p++) {
                long from = 4L * WIDTH * p;
                long to = 2 * VECTOR * depth * p;
                FloatVector.fromMemorySegment(F, ALL, from0 + from, LE).intoMemorySegment(ALL, to0 + to, LE);
                FloatVector.fromMemorySegment(F, ALL, from0 + from + VECTOR, LE)
                        .intoMemorySegment(ALL, to0 + to + VECTOR, LE);
                FloatVector.fromMemorySegment(F, ALL, from1 + from, LE).intoMemorySegment(ALL, to1 + to, LE);
                FloatVector.fromMemorySegment(F, ALL, from1 + from + VECTOR, LE)
                        .intoMemorySegment(ALL, to1 + to + VECTOR, LE);
                FloatVector.fromMemorySegment(F, ALL, from2 + from, LE).intoMemorySegment(ALL, to2 + to, LE);
                FloatVector.fromMemorySegment(F, ALL, from2 + from + VECTOR, LE)
                        .intoMemorySegment(ALL, to2 + to + VECTOR, LE);
                FloatVector.fromMemorySegment(F, ALL, from3 + from, LE).intoMemorySegment(ALL, to3 + to, LE);
                FloatVector.fromMemorySegment(F, ALL, from3 + from + VECTOR, LE)
                        .intoMemorySegment(ALL, to3 + to + VECTOR, LE);
            }
        }
    }

    private static void brainFloats(long w, long rowBytes, long index, int depth, int panelCount, long panels) {
        for (int k = 0; k < depth; k += 4) {
            // Past the end, the last row again, to the same place.
            int k1 = Math.min(k + 1, depth - 1);
            int k2 = Math.min(k + 2, depth - 1);
            int k3 = Math.min(k + 3, depth - 1);
            long from0 = w + ColumnOrder.input(index, k) * rowBytes;
            long to0 = panels + 2 * VECTOR * k;
            long from1 = w + ColumnOrder.input(index, k1) * rowBytes;
            long to1 = panels + 2 * VECTOR * k1;
            long from2 = w + ColumnOrder.input(index, k2) * rowBytes;
            long to2 = panels + 2 * VECTOR * k2;
            long from3 = w + ColumnOrder.input(index, k3) * rowBytes;
            long to3 = panels + 2 * VECTOR * k3;
            for (int p = 0; p < panelCount; p++) {
                long from = 2L * WIDTH * p;
                long to = 2 * VECTOR * depth * p;
                IntVector low0 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from0 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high0 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from0 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low0.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to0 + to, LE);
                high0.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to0 + to + VECTOR, LE);
                IntVector low1 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from1 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high1 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from1 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low1.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to1 + to, LE);
                high1.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to1 + to + VECTOR, LE);
                IntVector low2 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from2 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high2 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from2 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low2.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to2 + to, LE);
                high2.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to2 + to + VECTOR, LE);
                IntVector low3 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from3 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high3 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from3 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low3.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to3 + to, LE);
                high3.lanewise(VectorOperators.LSHL, 16).intoMemorySegment(ALL, to3 + to + VECTOR, LE);
            }
        }
    }

    /** Sign, exponent and fraction move to their places in an f32; the exponent is then 112 too small. */
    private static void halves(long w, long rowBytes, long index, int depth, int panelCount, long panels) {
        IntVector kept = IntVector.broadcast(I, 0x8fffe000);
        FloatVector scale = FloatVector.broadcast(F, 0x1p112f);
        for (int k = 0; k < depth; k += 4) {
            // Past the end, the last row again, to the same place.
            int k1 = Math.min(k + 1, depth - 1);
            int k2 = Math.min(k + 2, depth - 1);
            int k3 = Math.min(k + 3, depth - 1);
            long from0 = w + ColumnOrder.input(index, k) * rowBytes;
            long to0 = panels + 2 * VECTOR * k;
            long from1 = w + ColumnOrder.input(index, k1) * rowBytes;
            long to1 = panels + 2 * VECTOR * k1;
            long from2 = w + ColumnOrder.input(index, k2) * rowBytes;
            long to2 = panels + 2 * VECTOR * k2;
            long from3 = w + ColumnOrder.input(index, k3) * rowBytes;
            long to3 = panels + 2 * VECTOR * k3;
            for (int p = 0; p < panelCount; p++) {
                long from = 2L * WIDTH * p;
                long to = 2 * VECTOR * depth * p;
                IntVector low0 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from0 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high0 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from0 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low0.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to0 + to, LE);
                high0.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to0 + to + VECTOR, LE);
                IntVector low1 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from1 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high1 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from1 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low1.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to1 + to, LE);
                high1.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to1 + to + VECTOR, LE);
                IntVector low2 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from2 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high2 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from2 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low2.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to2 + to, LE);
                high2.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to2 + to + VECTOR, LE);
                IntVector low3 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from3 + from, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                IntVector high3 = (IntVector) ShortVector.fromMemorySegment(HALF, ALL, from3 + from + VECTOR / 2, LE)
                        .convertShape(VectorOperators.S2I, I, 0);
                low3.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to3 + to, LE);
                high3.lanewise(VectorOperators.LSHL, 13)
                        .and(kept)
                        .reinterpretAsFloats()
                        .mul(scale)
                        .intoMemorySegment(ALL, to3 + to + VECTOR, LE);
            }
        }
    }

    private static void bytes(long w, long rowBytes, long index, int depth, int panelCount, long panels) {
        for (int k = 0; k < depth; k += 2) {
            // Past the end, the last row again, to the same place.
            int k1 = Math.min(k + 1, depth - 1);
            long from0 = w + ColumnOrder.input(index, k) * rowBytes;
            long to0 = panels + 2 * VECTOR * k;
            long from1 = w + ColumnOrder.input(index, k1) * rowBytes;
            long to1 = panels + 2 * VECTOR * k1;
            for (int p = 0; p < panelCount; p++) {
                long from = 1L * WIDTH * p;
                long to = 2 * VECTOR * depth * p;
                ByteVector bytes0 = ByteVector.fromMemorySegment(QUARTER, ALL, from0 + from, LE);
                FloatVector low0 = (FloatVector) bytes0.convertShape(VectorOperators.B2F, F, 0);
                FloatVector high0 = COUNT == 4
                        ? (FloatVector) bytes0.convertShape(VectorOperators.B2F, F, 1)
                        : (FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, from0 + from + COUNT, LE)
                                .convertShape(VectorOperators.B2F, F, 0);
                low0.intoMemorySegment(ALL, to0 + to, LE);
                high0.intoMemorySegment(ALL, to0 + to + VECTOR, LE);
                ByteVector bytes1 = ByteVector.fromMemorySegment(QUARTER, ALL, from1 + from, LE);
                FloatVector low1 = (FloatVector) bytes1.convertShape(VectorOperators.B2F, F, 0);
                FloatVector high1 = COUNT == 4
                        ? (FloatVector) bytes1.convertShape(VectorOperators.B2F, F, 1)
                        : (FloatVector) ByteVector.fromMemorySegment(QUARTER, ALL, from1 + from + COUNT, LE)
                                .convertShape(VectorOperators.B2F, F, 0);
                low1.intoMemorySegment(ALL, to1 + to, LE);
                high1.intoMemorySegment(ALL, to1 + to + VECTOR, LE);
            }
        }
    }

    /** The last outputs, fewer than a panel: one by one, then zeros. */
    private static void rest(DType type, long w, long rowBytes, long index, int depth, int width, long panel) {
        for (int k = 0; k < depth; k++) {
            long from = w + ColumnOrder.input(index, k) * rowBytes;
            long to = panel + 2 * VECTOR * k;
            for (int o = 0; o < width; o++) {
                float value =
                        switch (type) {
                            case F32 -> ALL.get(FLOAT, from + 4L * o);
                            case BF16 -> Float.intBitsToFloat(ALL.get(SHORT, from + 2L * o) << 16);
                            case F16 -> Float.float16ToFloat(ALL.get(SHORT, from + 2L * o));
                            default -> ALL.get(BYTE, from + o);
                        };
                ALL.set(FLOAT, to + 4L * o, value);
            }
            for (int o = width; o < WIDTH; o++) {
                ALL.set(FLOAT, to + 4L * o, 0f);
            }
        }
    }
}
