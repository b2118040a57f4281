package ai.winnow.decode;

import ai.winnow.BackendException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The text of one request as it is generated: {@code for (String piece : stream)}. Each piece is whole characters. Reading waits for
 * the next piece; not reading holds nobody up. Closing cancels what is not finished. Thread-safe; each piece goes to one reader.
 */
public final class TextStream implements Iterable<String>, AutoCloseable {

    private final int promptTokens;
    private final LongSupplier nanoTime;
    private final long submitted;
    private final Deque<String> pieces = new ArrayDeque<>();
    private final StringBuilder text = new StringBuilder();
    private int[] tokens = new int[16];
    private int generated;
    private @Nullable Duration timeToFirstToken;
    private @Nullable Duration time;
    private @Nullable FinishReason reason;
    private @Nullable Throwable failure;

    TextStream(int promptTokens, LongSupplier nanoTime) {
        this.promptTokens = promptTokens;
        this.nanoTime = nanoTime;
        this.submitted = nanoTime.getAsLong();
    }

    /**
     * The pieces that nobody has read yet, until the generation ends for whatever reason.
     *
     * <p>{@code hasNext} throws {@link BackendException} if the generation failed, after the pieces before the failure, and {@link
     * CancellationException} if the waiting thread is interrupted, which cancels the request.
     */
    @Override
    public Iterator<String> iterator() {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return awaitPiece();
            }

            @Override
            public String next() {
                return take();
            }
        };
    }

    /**
     * Waits for the end.
     *
     * @throws BackendException if the generation failed
     * @throws CancellationException if this thread is interrupted, which cancels the request
     */
    public synchronized Generation join() {
        await(() -> reason != null);
        throwFailure();
        return new Generation(
                text.toString(),
                Arrays.copyOf(tokens, generated),
                Objects.requireNonNull(reason),
                promptTokens,
                Optional.ofNullable(timeToFirstToken),
                time == null ? Duration.ZERO : time);
    }

    /** Waits for the end, and gives the whole text, also what was read in pieces. See {@link #join}. */
    public String text() {
        return join().text();
    }

    /** Ends the request, if it has not ended. What was generated can still be read. */
    public void cancel() {
        finish(FinishReason.CANCELLED, null);
    }

    /** Cancels the request, if it has not ended. */
    @Override
    public void close() {
        cancel();
    }

    /** Why the generation ended, if it has. */
    public synchronized Optional<FinishReason> finishReason() {
        return Optional.ofNullable(reason);
    }

    public int promptTokens() {
        return promptTokens;
    }

    /** Tokens generated so far, with the stop token. */
    public synchronized int generatedTokens() {
        return generated;
    }

    /** From submission to the first token, once there is one. */
    public synchronized Optional<Duration> timeToFirstToken() {
        return Optional.ofNullable(timeToFirstToken);
    }

    synchronized boolean isDone() {
        return reason != null;
    }

    Duration age() {
        return Duration.ofNanos(nanoTime.getAsLong() - submitted);
    }

    synchronized void token(int token) {
        if (generated == 0) {
            timeToFirstToken = age();
        }
        if (generated == tokens.length) {
            tokens = Arrays.copyOf(tokens, 2 * generated);
        }
        tokens[generated++] = token;
    }

    synchronized void piece(String piece) {
        // What comes after the end (a cancellation in the middle of a step) is nobody's.
        if (reason == null && !piece.isEmpty()) {
            pieces.add(piece);
            text.append(piece);
            notifyAll();
        }
    }

    /** Ends the stream; the first to do so gives the reason. */
    synchronized void finish(FinishReason why, @Nullable Throwable cause) {
        if (reason == null) {
            reason = why;
            failure = cause;
            time = age();
            notifyAll();
        }
    }

    private synchronized boolean awaitPiece() {
        await(() -> !pieces.isEmpty() || reason != null);
        if (pieces.isEmpty()) {
            throwFailure();
        }
        return !pieces.isEmpty();
    }

    private synchronized String take() {
        if (!awaitPiece()) {
            throw new NoSuchElementException("the text has ended: " + reason);
        }
        return pieces.remove();
    }

    private synchronized void await(BooleanSupplier ready) {
        try {
            while (!ready.getAsBoolean()) {
                wait();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            cancel();
            CancellationException cancelled = new CancellationException("interrupted while waiting for text");
            cancelled.initCause(e);
            throw cancelled;
        }
    }

    private synchronized void throwFailure() {
        if (reason == FinishReason.FAILED) {
            throw new BackendException(
                    "the generation failed" + (failure == null ? "" : ": " + failure.getMessage()), failure);
        }
    }
}
