package ai.winnow.benchmarks.compare;

import java.lang.foreign.Arena;

/** Memory for operands that stay until their subject is closed, which closes the arena. */
final class Memory {

    private final Arena arena = Arena.ofShared();

    Arena arena() {
        return arena;
    }
}
