package ai.winnow.decode;

import java.time.Duration;
import java.util.Optional;

/**
 * A finished generation.
 *
 * @param text the text that was generated, without the prompt and without the stop string
 * @param tokens the tokens that were generated, with the stop token if there was one
 * @param reason why it ended
 * @param promptTokens tokens of the prompt
 * @param timeToFirstToken from submission to the first token; empty if there was none
 * @param time from submission to the end
 */
public record Generation(
        String text,
        int[] tokens,
        FinishReason reason,
        int promptTokens,
        Optional<Duration> timeToFirstToken,
        Duration time) {}
