package ai.winnow.runtime;

import ai.winnow.ir.Phase;
import java.util.Locale;

/**
 * Runs a model until its kernels are compiled: vector code that is still interpreted is hundreds of times slower. Repeats short
 * prompts and single tokens until neither has become faster for a while; the compiler works in the background, so that it is
 * time that counts and not the number of calls.
 */
final class WarmUp {

    /** The longest that loading waits. */
    private static final long BUDGET_NANOS = 8_000_000_000L;

    /** No gain for so long means that the compiler is done. */
    private static final long QUIET_NANOS = 1_000_000_000L;

    private static final int PROMPT = 32;
    private static final int STEPS_A_ROUND = 16;
    private static final long STEPS_NANOS = 500_000_000L;

    private final SparseModel model;
    private long prefill = Long.MAX_VALUE;
    private long decode = Long.MAX_VALUE;

    WarmUp(SparseModel model) {
        this.model = model;
    }

    /** @return what was done, for {@code explain()} */
    String run() {
        long start = System.nanoTime();
        long gained = start;
        int rounds = 0;
        try (Session session = model.newSession()) {
            while (System.nanoTime() - gained < QUIET_NANOS && System.nanoTime() - start < BUDGET_NANOS) {
                if (round(session)) {
                    gained = System.nanoTime();
                }
                rounds++;
            }
        }
        return String.format(Locale.ROOT, "%d rounds in %.1f s", rounds, (System.nanoTime() - start) / 1e9);
    }

    /** A prompt, then some tokens; whether either was at least a tenth faster than ever. */
    private boolean round(Session session) {
        int context = model.limits().contextLength();
        int[] tokens = new int[Math.clamp(context / 2, 1, PROMPT)];
        int vocabSize = model.definition().dimensions().vocabSize();
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = (i * 37 + 1) % vocabSize;
        }
        SequenceId sequence = session.open();
        try {
            long start = System.nanoTime();
            session.run(Phase.PREFILL, Batch.of(sequence, tokens));
            long between = System.nanoTime();
            long best = decode;
            int steps = Math.min(STEPS_A_ROUND, context - tokens.length);
            for (int i = 0; i < steps && System.nanoTime() - between < STEPS_NANOS; i++) {
                long before = System.nanoTime();
                session.run(Phase.DECODE, Batch.of(sequence, tokens[i % tokens.length]));
                best = Math.min(best, System.nanoTime() - before);
            }
            boolean faster = between - start < prefill - prefill / 10 || best < decode - decode / 10;
            prefill = Math.min(prefill, between - start);
            decode = best;
            return faster;
        } finally {
            session.close(sequence);
        }
    }
}
