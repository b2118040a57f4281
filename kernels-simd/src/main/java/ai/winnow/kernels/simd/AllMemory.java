package ai.winnow.kernels.simd;

import ai.winnow.tensor.NativeMemory;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * Memory by its addresses, through one segment that is a constant. Of a constant C2 knows the class, the bounds and the session, so
 * that an access is one instruction and the check of its sign; and no profile is involved, so that other segments that went through
 * the same code before (of an array, a mapping, a buffer) do not slow it down.
 *
 * <p>What the segment does not check is checked once, by {@link #address}, where an operand or a page of one is entered. That it
 * stays alive is up to whoever runs the kernel.
 */
final class AllMemory {

    static final MemorySegment ALL = NativeMemory.all();

    private AllMemory() {}

    /**
     * The address of {@code bytes} bytes at {@code at} of {@code segment}.
     *
     * @throws IndexOutOfBoundsException if they are not all in it
     */
    static long address(long segment, long at, long bytes) {
        return segment.address() + Objects.checkFromIndexSize(at, bytes, segment.byteSize());
    }
}
