package ai.winnow.tensor;

import ai.winnow.BackendException;
import ai.winnow.Settings;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * Memory for weights and caches. {@link Arena#allocate} writes zeros to every page at once; here the operating system hands out
 * pages when they are first written, so a cache takes what it holds and not what it may hold. On Linux the kernel is asked for
 * huge pages as well: reading weights of gigabytes through 4 KiB pages is bound by address translation. Elsewhere, and for
 * small sizes, this is {@link Arena#allocate}.
 */
public final class NativeMemory {

    private static final long HUGE_PAGE = 2 << 20;

    /** Bytes behind what is asked for: where a processor has no masked loads, C2 loads the whole vector and forgets what the mask does not name. */
    private static final long SLACK = 64;

    /** The system calls, where there are any. */
    private static final Optional<Mapping> MAPPING = Mapping.find();

    private NativeMemory() {}

    /**
     * Zeroed memory, at least 64-byte aligned.
     *
     * @throws BackendException if there is not that much
     */
    public static MemorySegment allocate(Arena arena, long bytes) {
        long size = Math.max(bytes, 1);
        if (size < HUGE_PAGE || MAPPING.isEmpty()) {
            try {
                return arena.allocate(size + SLACK, Tensor.ALIGNMENT).asSlice(0, size);
            } catch (OutOfMemoryError e) {
                throw outOfMemory(size, e);
            }
        }
        return MAPPING.get().map(arena, size);
    }

    private static BackendException outOfMemory(long bytes, Throwable cause) {
        return new BackendException(
                "the system has no " + (bytes >> 20)
                        + " MiB of native memory left; close other models, or lower the context length, the number of sequences or the cache's budget",
                cause);
    }

    /** {@code mmap} and its kin, as Linux has them on 64 bits. */
    private record Mapping(MethodHandle mmap, MethodHandle munmap, MethodHandle madvise) {

        private static final int READ_WRITE = 3;
        private static final int PRIVATE_ANONYMOUS = 0x22;
        private static final int MADV_HUGEPAGE = 14;

        @SuppressWarnings("restricted") // three functions of the C library, with the signatures their manual gives
        static Optional<Mapping> find() {
            if (!Settings.isLinux64()) {
                return Optional.empty();
            }
            Linker linker = Linker.nativeLinker();
            SymbolLookup lookup = linker.defaultLookup();
            ValueLayout.OfLong word = ValueLayout.JAVA_LONG;
            ValueLayout.OfInt number = ValueLayout.JAVA_INT;
            return lookup.find("mmap").flatMap(mmap -> lookup.find("munmap").flatMap(munmap -> lookup.find("madvise")
                    .map(madvise -> new Mapping(
                            linker.downcallHandle(
                                    mmap, FunctionDescriptor.of(word, word, word, number, number, number, word)),
                            linker.downcallHandle(munmap, FunctionDescriptor.of(number, word, word)),
                            linker.downcallHandle(madvise, FunctionDescriptor.of(number, word, word, number))))));
        }

        @SuppressWarnings("restricted") // the segment spans what was just mapped
        MemorySegment map(Arena arena, long bytes) {
            long length = Math.addExact(bytes, 2 * HUGE_PAGE) & -HUGE_PAGE;
            long address = callMap(length);
            if (address == -1) {
                throw outOfMemory(bytes, new OutOfMemoryError("mmap refused " + length + " bytes"));
            }
            long aligned = (address + HUGE_PAGE - 1) & -HUGE_PAGE;
            callAdvise(aligned, address + length - aligned);
            return MemorySegment.ofAddress(aligned).reinterpret(bytes, arena, segment -> callUnmap(address, length));
        }

        private long callMap(long length) {
            try {
                return (long) mmap.invokeExact(0L, length, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0L);
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        }

        private void callAdvise(long address, long length) {
            try {
                // Only advice: a kernel without huge pages answers with an error that changes nothing.
                int ignored = (int) madvise.invokeExact(address, length, MADV_HUGEPAGE);
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        }

        private void callUnmap(long address, long length) {
            try {
                int ignored = (int) munmap.invokeExact(address, length);
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
