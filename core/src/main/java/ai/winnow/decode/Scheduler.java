package ai.winnow.decode;

import ai.winnow.ir.Phase;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.Logits;
import ai.winnow.runtime.Session;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Continuous batching (Yu et al., OSDI 2022) over one session: sequences come and go between steps, and prompts run in pieces between
 * the tokens of the others. One thread at a time.
 */
final class Scheduler {

    private static final Logger LOG = LoggerFactory.getLogger(Scheduler.class);

    private final Session session;
    private final RequestQueue queue;
    private final int prefillTokens;
    private final int maxSequences;
    private final List<Request> running = new ArrayList<>();

    /** Pages that nobody was promised. A request is promised all it may need, so that no running request runs out of them. */
    private int freePages;

    /** @param prefillTokens prompt tokens of a round */
    Scheduler(Session session, RequestQueue queue, int prefillTokens) {
        this.session = session;
        this.queue = queue;
        this.prefillTokens = prefillTokens;
        this.maxSequences = session.model().limits().maxSequences();
        this.freePages = session.freePages();
    }

    /** What a step runs of one request. */
    private record Work(Request request, int[] tokens) {}

    boolean isIdle() {
        return running.isEmpty();
    }

    int running() {
        return running.size();
    }

    /** One token of each running sequence, and a piece of the prompts. */
    void round() {
        release();
        queue.removeIf(Request::isOver);
        admit();
        List<Work> tokens = new ArrayList<>();
        List<Work> pieces = new ArrayList<>();
        int room = prefillTokens;
        for (Request request : running) {
            if (!request.isPrefilling()) {
                tokens.add(new Work(request, new int[] {request.next()}));
            } else if (room > 0) {
                int[] piece = request.piece(room);
                room -= piece.length;
                pieces.add(new Work(request, piece));
            }
        }
        run(Phase.DECODE, tokens);
        run(Phase.PREFILL, pieces);
        release();
    }

    private void admit() {
        while (running.size() < maxSequences) {
            Request request = queue.pollIf(first -> first.pages <= freePages);
            if (request == null) {
                return;
            }
            request.admit(session.open());
            freePages -= request.pages;
            running.add(request);
        }
    }

    /** Runs one step; if that fails, each request alone, so that only the culprit ends. */
    private void run(Phase phase, List<Work> work) {
        if (work.isEmpty()) {
            return;
        }
        Logits logits;
        try {
            logits = session.run(
                    phase,
                    new Batch(work.stream()
                            .map(each -> new Batch.Entry(each.request().sequence(), each.tokens()))
                            .toList()));
        } catch (RuntimeException e) {
            if (work.size() == 1) {
                fail(work.getFirst().request(), e);
            } else {
                LOG.warn("a step of {} sequences failed; running them one by one: {}", work.size(), e.getMessage());
                work.forEach(each -> run(phase, List.of(each)));
            }
            return;
        }
        for (int i = 0; i < work.size(); i++) {
            Work each = work.get(i);
            try {
                each.request().advance(each.tokens(), logits.row(i));
            } catch (RuntimeException e) {
                fail(each.request(), e);
            }
        }
    }

    private static void fail(Request request, RuntimeException e) {
        LOG.warn("a request of {} prompt tokens failed", request.prompt.length, e);
        request.stream.finish(FinishReason.FAILED, e);
    }

    /** Frees the sequences of requests that ended. */
    private void release() {
        running.removeIf(request -> {
            if (request.isOver()) {
                session.close(request.sequence());
                freePages += request.pages;
                return true;
            }
            return false;
        });
    }

    /** Ends all that runs and frees its sequences. */
    void end(FinishReason reason, @Nullable Throwable cause) {
        running.forEach(request -> request.stream.finish(reason, cause));
        release();
    }
}
