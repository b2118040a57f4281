package ai.winnow.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A stretch of memory. A storage never owns it; the arena it came from does. */
public sealed interface Storage {

    long bytes();

    Device device();

    /**
     * Native memory of this process. Heap segments are refused: they have no address, and kernels read by address. Memory that others allocated must go on for
     * 64 bytes behind its end, or end within a page: where a processor has no masked loads, whole vectors are loaded.
     */
    record HostMemory(MemorySegment segment) implements Storage {
        public HostMemory {
            if (!segment.isNative()) {
                throw new IllegalArgumentException("tensors lie in native memory; copy the array with Tensor.copyOf");
            }
        }

        @Override
        public long bytes() {
            return segment.byteSize();
        }

        @Override
        public Device device() {
            return Device.HOST;
        }
    }

    /** Memory of another device, known by its address there. */
    record DeviceMemory(long address, long bytes, Device device) implements Storage {}

    /**
     * The same memory as {@code segment} in one class of segment: memory from mappings, direct buffers and arenas differs in class, and a loop over segments that
     * meets several runs up to 1.8 times slower.
     *
     * @param arena what keeps the memory alive; kernels read by address and must not run after it is closed
     */
    @SuppressWarnings("restricted") // the only way to another class of segment; the bounds are those of the one given
    static HostMemory wrap(MemorySegment segment, Arena arena) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException("tensors lie in native memory; copy the array with Tensor.copyOf");
        }
        return new HostMemory(MemorySegment.ofAddress(segment.address()).reinterpret(segment.byteSize(), arena, null));
    }
}
