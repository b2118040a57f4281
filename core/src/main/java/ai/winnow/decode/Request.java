package ai.winnow.decode;

import ai.winnow.decode.DecodeStrategy.TokenLoop;
import ai.winnow.runtime.SequenceId;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A request on its way: its state beside what the session holds. Its stream is shared; all else is the driver's. */
final class Request {

    final int[] prompt;
    final TextStream stream;

    /** Pages of the cache that the whole request may need. */
    final int pages;

    private final @Nullable Duration deadline;
    private final Set<Integer> stopTokens;
    private final int limit;
    private final TokenLoop loop;
    private final IncrementalText text;
    private final StopStrings stops;
    private @Nullable SequenceId sequence;
    private int prefilled;
    private int generated;

    /** @param limit the most tokens to generate */
    Request(
            int[] prompt,
            GenerationOptions options,
            Set<Integer> stopTokens,
            int limit,
            int pages,
            TextStream stream,
            TokenLoop loop,
            TextCodec codec) {
        this.prompt = prompt;
        this.stream = stream;
        this.pages = pages;
        this.deadline = options.deadline();
        this.stopTokens = stopTokens;
        this.limit = limit;
        this.loop = loop;
        this.text = new IncrementalText(codec, prompt);
        this.stops = new StopStrings(options.stopStrings());
    }

    void admit(SequenceId id) {
        sequence = id;
    }

    SequenceId sequence() {
        if (sequence == null) {
            throw new IllegalStateException("this request has no sequence yet");
        }
        return sequence;
    }

    /** Whether the request has ended; ends it if its time is over. */
    boolean isOver() {
        if (!stream.isDone() && deadline != null && stream.age().compareTo(deadline) >= 0) {
            try {
                finish(FinishReason.DEADLINE);
            } catch (RuntimeException e) { // the user's codec: it must not end the others
                stream.finish(FinishReason.FAILED, e);
            }
        }
        return stream.isDone();
    }

    boolean isPrefilling() {
        return prefilled < prompt.length;
    }

    /** The next at most {@code most} tokens of the prompt. */
    int[] piece(int most) {
        return Arrays.copyOfRange(prompt, prefilled, Math.min(prompt.length, prefilled + most));
    }

    int next() {
        return loop.next();
    }

    /** Takes in that a step ran {@code tokens}, with the logits after the last of them. */
    void advance(int[] tokens, MemorySegment logits) {
        if (isPrefilling()) {
            prefilled += tokens.length;
            if (isPrefilling()) {
                return;
            }
        }
        int token = loop.accept(logits);
        generated++;
        stream.token(token);
        if (stopTokens.contains(token)) {
            finish(FinishReason.STOP_TOKEN);
            return;
        }
        stream.piece(stops.append(text.append(token)));
        if (stops.found()) {
            stream.finish(FinishReason.STOP_STRING, null);
        } else if (generated >= limit) {
            finish(FinishReason.LENGTH);
        }
    }

    /** Lets out the text that was held back, and ends. */
    private void finish(FinishReason reason) {
        stream.piece(stops.append(text.finish()));
        if (stops.found()) {
            stream.finish(FinishReason.STOP_STRING, null);
            return;
        }
        stream.piece(stops.finish());
        stream.finish(reason, null);
    }
}
