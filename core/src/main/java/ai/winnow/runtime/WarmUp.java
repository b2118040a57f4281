package ai.winnow.runtime;

import ai.winnow.ir.Phase;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a model until its kernels are compiled: vector code that is still interpreted is hundreds of times slower. Repeats short
 * prompts and steps of one and of several sequences until none has become faster for a while; the compiler works in the
 * background, so that it is time that counts and not the number of calls.
 */
final class WarmUp {

    /** The longest that loading waits. */
    private static final long BUDGET_NANOS = 8_000_000_000L;

    /** No gain for so long means that the compiler is done. */
    private static final long QUIET_NANOS = 1_000_000_000L;

    private static final int PROMPT = 32;

    private static final Logger LOG = LoggerFactory.getLogger(WarmUp.class);

    private final Session session;
    private final int context;
    private final int[] tokens;

    /** One token of one sequence, of two, and of as many as a session holds: the kernels differ. */
    private final List<Timed> decodes = new ArrayList<>();

    private final Timed prefill = new Timed(1, 1, Long.MAX_VALUE);

    WarmUp(Session session) {
        this.session = session;
        SparseModel model = session.model();
        this.context = model.limits().contextLength();
        this.tokens = new int[Math.clamp(context / 2, 1, PROMPT)];
        int vocabSize = model.definition().dimensions().vocabSize();
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = (i * 37 + 1) % vocabSize;
        }
        decodes.add(new Timed(1, 16, 500_000_000L));
        if (model.limits().maxSequences() > 1) {
            decodes.add(new Timed(2, 6, 250_000_000L));
        }
        if (model.limits().maxSequences() > 2) {
            decodes.add(new Timed(model.limits().maxSequences(), 6, 250_000_000L));
        }
    }

    /** A kind of step, the most of them in a round, and the least time that one ever took. */
    private static final class Timed {
        final int sequences;
        final int steps;
        final long nanos;
        long best = Long.MAX_VALUE;

        Timed(int sequences, int steps, long nanos) {
            this.sequences = sequences;
            this.steps = steps;
            this.nanos = nanos;
        }

        /** Takes note of the fastest step of a round; whether it was at least a tenth faster than ever. */
        boolean faster(long fastest) {
            boolean faster = fastest < best - best / 10;
            best = Math.min(best, fastest);
            return faster;
        }
    }

    /** @return what was done, for {@code explain()} */
    String run() {
        LOG.info("warming up until the kernels are compiled, some {} s at most", BUDGET_NANOS / 1_000_000_000L);
        long start = System.nanoTime();
        long gained = start;
        int rounds = 0;
        while (System.nanoTime() - gained < QUIET_NANOS && System.nanoTime() - start < BUDGET_NANOS) {
            if (round()) {
                gained = System.nanoTime();
            }
            rounds++;
        }
        return String.format(Locale.ROOT, "%d rounds in %.1f s", rounds, (System.nanoTime() - start) / 1e9);
    }

    /** A prompt, then some tokens of one sequence and of several together; whether anything was faster than ever. */
    boolean round() {
        List<SequenceId> open = new ArrayList<>();
        try {
            int free = session.freePages();
            open.add(session.open());
            long start = System.nanoTime();
            session.run(Phase.PREFILL, Batch.of(open.getFirst(), tokens));
            boolean faster = prefill.faster(System.nanoTime() - start);
            int pagesOfOne = free - session.freePages();
            // A single row first, as a prompt's last piece may be. The cache may hold fewer sequences than are allowed.
            for (int count = 1; open.size() < decodes.getLast().sequences; count = Integer.MAX_VALUE) {
                int more = Math.min(count, decodes.getLast().sequences - open.size());
                int affordable = Math.min(more, session.freePages() / pagesOfOne);
                if (affordable == 0) {
                    break;
                }
                List<SequenceId> others =
                        Stream.generate(session::open).limit(affordable).toList();
                open.addAll(others);
                session.run(Phase.PREFILL, oneTokenEach(others, tokens[0]));
            }
            for (Timed decode : decodes) {
                if (decode.sequences <= open.size()) {
                    faster |= decode.faster(fastest(decode, open.subList(0, decode.sequences)));
                }
            }
            return faster;
        } finally {
            open.forEach(session::close);
        }
    }

    private long fastest(Timed decode, List<SequenceId> sequences) {
        long fastest = Long.MAX_VALUE;
        long start = System.nanoTime();
        for (int i = 0; i < decode.steps && System.nanoTime() - start < decode.nanos; i++) {
            if (session.length(sequences.getFirst()) == context) {
                break;
            }
            Batch batch = oneTokenEach(sequences, tokens[i % tokens.length]);
            long before = System.nanoTime();
            session.run(Phase.DECODE, batch);
            fastest = Math.min(fastest, System.nanoTime() - before);
        }
        return fastest;
    }

    private static Batch oneTokenEach(List<SequenceId> sequences, int token) {
        int[] each = new int[sequences.size()];
        Arrays.fill(each, token);
        return Batch.decode(sequences, each);
    }
}
