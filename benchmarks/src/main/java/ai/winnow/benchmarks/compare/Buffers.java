package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.NativeMemory;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

/** Our memory as peers take it, in direct buffers: nothing passes through the Java heap. */
final class Buffers {

    /** Rows and columns of the blocks in which matrices are transposed. */
    private static final int BLOCK = 64;

    private Buffers() {}

    /** The first {@code floats} numbers of an F32 tensor; the memory is shared. */
    static ByteBuffer of(Tensor tensor, long floats) {
        return of(tensor.segment().asSlice(0, 4 * floats));
    }

    static ByteBuffer of(MemorySegment segment) {
        return segment.asByteBuffer().order(ByteOrder.nativeOrder());
    }

    /** The same bytes in other memory. */
    static MemorySegment copy(MemorySegment segment, Arena arena) {
        MemorySegment copy = NativeMemory.allocate(arena, segment.byteSize());
        return copy.copyFrom(segment);
    }

    /** F32 {@code [rows, columns]} as {@code [columns, rows]}. */
    static MemorySegment transposed(MemorySegment from, int rows, int columns, Arena arena) {
        MemorySegment to = NativeMemory.allocate(arena, 4L * rows * columns);
        IntStream.range(0, (columns + BLOCK - 1) / BLOCK).parallel().forEach(block -> {
            int left = block * BLOCK;
            int right = Math.min(columns, left + BLOCK);
            for (int top = 0; top < rows; top += BLOCK) {
                for (int column = left; column < right; column++) {
                    for (int row = top; row < Math.min(rows, top + BLOCK); row++) {
                        float value = from.getAtIndex(ValueLayout.JAVA_FLOAT, (long) row * columns + column);
                        to.setAtIndex(ValueLayout.JAVA_FLOAT, (long) column * rows + row, value);
                    }
                }
            }
        });
        return to;
    }
}
