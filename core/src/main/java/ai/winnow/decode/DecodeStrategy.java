package ai.winnow.decode;

import java.lang.foreign.MemorySegment;

/**
 * How a sequence goes on from logits to tokens. The decoder owns the session and the batch; a strategy only says, one sequence at a
 * time, which tokens to run next and which are thereby decided. It is never told of other sequences.
 */
public interface DecodeStrategy {

    /** The name, for logs. */
    String name();

    /** Begins a sequence whose prompt is about to be run; {@code sampler} has seen it. */
    TokenLoop begin(int[] prompt, Sampler sampler);

    /**
     * The state of one sequence. After the prompt, and after each step, {@link #accept} is given the logits; then {@link #next} names
     * what the next step runs. Strategies that draft will name several tokens here, and be given a row of logits for each (phase
     * VERIFY).
     */
    interface TokenLoop {

        /** The token decided by the logits after the last token run. */
        int accept(MemorySegment logits);

        /** The token that the next step runs. */
        int next();
    }
}
