package ai.winnow.decode;

import ai.winnow.BackendException;
import ai.winnow.OverloadedException;
import ai.winnow.ShapeException;
import ai.winnow.decode.DecodeStrategy.TokenLoop;
import ai.winnow.ir.KvShape;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import java.util.Set;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Generates text for many requests at once on one session of a model. Requests come from any thread; a thread of the decoder's own
 * runs the steps. Each request gets the text that it would get alone. A request that fails, is cancelled or runs out of time never
 * touches the others.
 *
 * <pre>{@code
 * try (Decoder decoder = new Decoder(model, codec, DecoderOptions.defaults());
 *         TextStream stream = decoder.submit("Once upon a time", GenerationOptions.defaults())) {
 *     for (String piece : stream) {
 *         System.out.print(piece);
 *     }
 * }
 * }</pre>
 */
public final class Decoder implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(Decoder.class);

    private final SparseModel model;
    private final TextCodec codec;
    private final DecodeStrategy strategy;
    private final LongSupplier nanoTime;
    private final RequestQueue queue;
    private final Session session;
    private final Scheduler scheduler;
    private final int pagesOfAll;

    /** Room that the samplers of all requests work in: the driver asks one at a time. */
    private final Candidates candidates = new Candidates();

    private final @Nullable Thread driver;

    /** A decoder with a session of {@code model}, which must outlive it. */
    public Decoder(SparseModel model, TextCodec codec, DecoderOptions options) {
        this(model, codec, options, System::nanoTime, true);
    }

    /** @param driven whether a thread runs the steps; tests run {@link #round} themselves */
    Decoder(SparseModel model, TextCodec codec, DecoderOptions options, LongSupplier nanoTime, boolean driven) {
        int vocabSize = model.definition().dimensions().vocabSize();
        if (codec.vocabSize() > vocabSize) {
            throw new ShapeException("the tokenizer has " + codec.vocabSize() + " tokens, the model's vocabulary has "
                    + vocabSize + ": they do not belong together");
        }
        this.model = model;
        this.codec = codec;
        this.strategy = options.strategy();
        this.nanoTime = nanoTime;
        this.queue = new RequestQueue(options.queueCapacity());
        this.session = model.newSession();
        this.pagesOfAll = session.freePages();
        int step = model.limits().maxTokens();
        this.scheduler = new Scheduler(
                session, queue, options.prefillTokens() == 0 ? step : Math.min(step, options.prefillTokens()));
        this.driver =
                driven ? Thread.ofPlatform().daemon().name("winnow-decoder").unstarted(this::drive) : null;
        if (driver != null) {
            driver.start();
        }
    }

    public SparseModel model() {
        return model;
    }

    public TextCodec codec() {
        return codec;
    }

    /**
     * Asks for the continuation of {@code prompt}.
     *
     * @throws IllegalArgumentException if the prompt is empty, or longer than the context
     * @throws OverloadedException if too many requests wait
     * @throws IllegalStateException if this decoder is closed
     */
    public TextStream submit(String prompt, GenerationOptions options) {
        int[] tokens = codec.encode(prompt);
        if (tokens.length == 0 && model.definition().beginToken().isPresent()) {
            tokens = new int[] {model.definition().beginToken().getAsInt()};
        }
        return submit(tokens, options);
    }

    /** Asks for the continuation of a prompt of tokens, to which nothing is added. See {@link #submit(String, GenerationOptions)}. */
    public TextStream submit(int[] prompt, GenerationOptions options) {
        Request request = request(prompt.clone(), options);
        if (!queue.offer(request)) {
            throw new OverloadedException("as many requests wait as may (queueCapacity); try again later");
        }
        return request.stream;
    }

    /** The continuation of {@code prompt}, when it is finished. See {@link #submit(String, GenerationOptions)}. */
    public Generation generate(String prompt, GenerationOptions options) {
        try (TextStream stream = submit(prompt, options)) {
            return stream.join();
        }
    }

    private Request request(int[] prompt, GenerationOptions options) {
        if (prompt.length == 0) {
            throw new IllegalArgumentException("the prompt is empty, and this model has no token that begins a text");
        }
        int vocabSize = model.definition().dimensions().vocabSize();
        for (int token : prompt) {
            if (token < 0 || token >= vocabSize) {
                throw new IllegalArgumentException(
                        "the prompt has token " + token + "; the vocabulary has " + vocabSize);
            }
        }
        int context = model.limits().contextLength();
        if (prompt.length >= context) {
            throw new IllegalArgumentException("the prompt has " + prompt.length + " tokens; the context holds "
                    + context + " with at least one to generate. Shorten the prompt, or load the model with a longer"
                    + " context (contextLength), if it has one");
        }
        int limit = Math.min(options.maxNewTokens(), context - prompt.length);
        int pages = pages(prompt.length + limit);
        if (pages > pagesOfAll) {
            throw new BackendException("the prompt and " + limit + " tokens need " + pages
                    + " pages of the cache of keys and values, it has " + pagesOfAll
                    + "; ask for fewer tokens, or load the model with a greater kvBytes");
        }
        Sampler sampler = new Sampler(options, vocabSize, candidates);
        sampler.see(prompt);
        TokenLoop loop = strategy.begin(prompt, sampler);
        Set<Integer> stopTokens =
                options.stopTokens() == null ? model.definition().stopTokens() : options.stopTokens();
        TextStream stream = new TextStream(prompt.length, nanoTime);
        return new Request(prompt, options, stopTokens, limit, pages, stream, loop, codec);
    }

    private int pages(int positions) {
        KvShape shape = model.definition().kvShape(model.limits());
        int perHead = (positions + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS;
        return Math.multiplyExact(perHead, Math.multiplyExact(shape.layers(), shape.heads()));
    }

    /** Requests that wait for a sequence. */
    public int waiting() {
        return queue.size();
    }

    private void drive() {
        try {
            while (!queue.isClosed()) {
                if (scheduler.isIdle()) {
                    queue.awaitRequest();
                }
                if (!queue.isClosed()) {
                    scheduler.round();
                }
            }
            end(FinishReason.CANCELLED, null);
        } catch (InterruptedException e) {
            // Nobody but a container that takes the process down interrupts this thread.
            Thread.currentThread().interrupt();
            end(FinishReason.CANCELLED, null);
        } catch (RuntimeException | Error e) {
            LOG.error("the decoder cannot go on and is closed", e);
            end(FinishReason.FAILED, e);
        }
    }

    private void end(FinishReason reason, @Nullable Throwable cause) {
        queue.close().forEach(request -> request.stream.finish(reason, cause));
        try {
            scheduler.end(reason, cause);
        } finally {
            session.close();
        }
    }

    /** One round of steps, where no thread runs them. */
    void round() {
        scheduler.round();
    }

    Session session() {
        return session;
    }

    int running() {
        return scheduler.running();
    }

    /** Cancels all requests, waits for the step that runs, and frees the session. Requests that come later are refused. */
    @Override
    public void close() {
        queue.close().forEach(request -> request.stream.cancel());
        if (driver == null) {
            end(FinishReason.CANCELLED, null);
            return;
        }
        boolean interrupted = false;
        while (driver.isAlive()) {
            try {
                driver.join();
            } catch (InterruptedException e) {
                // The session's memory must not be freed under the step that runs: wait on, and pass the interrupt on.
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
