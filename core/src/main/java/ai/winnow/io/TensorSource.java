package ai.winnow.io;

import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Named tensors that lie somewhere else, most often in a file, and are brought into memory one by one. */
public interface TensorSource extends AutoCloseable {

    /** The names of all tensors, in the order in which their bytes lie. */
    Set<String> names();

    /** What the tensor {@code name} holds, or null if there is none. */
    @Nullable
    TensorSpec spec(String name);

    /**
     * One tensor, row-major and read-only, in {@code arena}. Only this tensor takes memory, and only until the arena is closed: a
     * loader that packs tensor by tensor, each in its own arena, never holds more than one beside what it packed.
     *
     * @throws ai.winnow.ArtefactException if there is no such tensor (the message names close matches) or it cannot be read
     * @throws IllegalStateException if this source is closed
     */
    Tensor load(String name, Arena arena);

    /**
     * Which weights these are, in 16 hex digits: a digest of names, specs and a sample of the bytes of every tensor. The same
     * weights have the same fingerprint in whatever order, and in however many files, they are stored. Reads a few KB a tensor.
     *
     * @throws ai.winnow.ArtefactException if the bytes cannot be read
     */
    String fingerprint();

    /** Lets go of the files. Tensors that were loaded stay valid as long as their arenas. */
    @Override
    void close();
}
