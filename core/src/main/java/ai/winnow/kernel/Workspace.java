package ai.winnow.kernel;

import java.lang.foreign.MemorySegment;

/**
 * What a kernel may use while it runs: scratch memory, 64-byte aligned, whose content does not outlive the call, and threads.
 */
public record Workspace(MemorySegment scratch, Workers.Lease workers) {

    /** Where the scratch memory begins. */
    public long scratchAddress() {
        return scratch.address();
    }
}
