package ai.winnow.kernels.simd;

import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * All memory as one segment, whose offsets are addresses. Every kernel of this package reads and writes through it; a parameter of type {@code long} that is
 * named like a tensor is an address.
 *
 * <p>Why not the tensors' own segments: their methods are shared by everything that runs in the JVM, and C2 compiles them for the classes it has seen there. A
 * service in which other code reads heap arrays or mapped files through segments would make our kernels test the class of the memory, and the scope and the
 * length, at each access: a matrix product took 8 times as long (docs/decisions/0015). This segment is a constant: its class, scope and length fold away.
 *
 * <p>What guards it: tensors are native memory ({@link ai.winnow.tensor.Storage}) with room for a vector behind them; their shapes are checked when a plan is made, a
 * graph's inputs when they are bound, the numbers of rows at each run, and indices that come with a step (token ids, positions, rows, pages) where they enter a
 * kernel; sessions and graph runners hold their memory and their weights until no step runs.
 */
final class Memory {

    @SuppressWarnings("restricted") // the whole of memory, for kernels that have checked what they reach
    static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

    private Memory() {}

    /** {@code offset} bytes behind the beginning of a tensor that may not be there: 0, for none, stays 0. */
    static long orNone(long tensor, long offset) {
        return tensor == 0 ? 0 : tensor + offset;
    }

    /**
     * The address of {@code bytes} bytes at {@code at} of {@code segment}.
     *
     * @throws IndexOutOfBoundsException if they are not all in it
     */
    static long address(MemorySegment segment, long at, long bytes) {
        return segment.address() + Objects.checkFromIndexSize(at, bytes, segment.byteSize());
    }
}
