package ai.winnow.decode;

import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * How to generate. {@link #defaults()} is greedy; change single options with the {@code with…} methods. The chain over the logits
 * of each step is: repetition penalty, temperature, top-k, top-p, min-p, sample.
 *
 * @param maxNewTokens the most tokens to generate, at least 1
 * @param temperature what logits are divided by; 0 takes the greatest and makes top-k, top-p, min-p and seed idle
 * @param topK keep the k most likely tokens; 0 for all
 * @param topP keep the fewest most likely tokens whose probability reaches this (Holtzman et al., 2020), in (0, 1]; 1 for all
 * @param minP keep tokens at least this likely relative to the most likely, in [0, 1]; 0 for all
 * @param repetitionPenalty divides positive and multiplies negative logits of tokens that are in the prompt or the text already
 *     (Keskar et al., 2019; Hugging Face's formula); 1 for none
 * @param seed makes sampling repeatable; null for another text each time
 * @param stopTokens tokens that end the text; null for the model's own
 * @param stopStrings strings that end the text, and are not part of it
 * @param deadline how long the request may take from submission, waiting included; null for no limit. What was generated until
 *     then is kept
 */
public record GenerationOptions(
        int maxNewTokens,
        float temperature,
        int topK,
        float topP,
        float minP,
        float repetitionPenalty,
        @Nullable Long seed,
        @Nullable Set<Integer> stopTokens,
        List<String> stopStrings,
        @Nullable Duration deadline) {

    /** Tokens to generate unless another number is asked for. */
    public static final int DEFAULT_NEW_TOKENS = 256;

    /** Longer stop strings are surely a mistake: text is held back until it cannot be the beginning of one. */
    public static final int MAX_STOP_CHARACTERS = 1024;

    public GenerationOptions {
        stopTokens = stopTokens == null ? null : Set.copyOf(stopTokens);
        stopStrings = List.copyOf(stopStrings);
        require(maxNewTokens >= 1, "maxNewTokens must be at least 1, found " + maxNewTokens);
        require(temperature >= 0 && Float.isFinite(temperature), "temperature must be 0 or more, found " + temperature);
        require(topK >= 0, "topK must be 0 (all tokens) or more, found " + topK);
        require(topP > 0 && topP <= 1, "topP must be in (0, 1], found " + topP);
        require(minP >= 0 && minP <= 1, "minP must be in [0, 1], found " + minP);
        require(
                repetitionPenalty > 0 && Float.isFinite(repetitionPenalty),
                "repetitionPenalty must be greater than 0 (1 is none), found " + repetitionPenalty);
        require(
                deadline == null || deadline.isPositive(),
                "a deadline is a time from submission and must be greater than 0, found " + deadline);
        for (String stop : stopStrings) {
            require(
                    !stop.isEmpty() && stop.length() <= MAX_STOP_CHARACTERS,
                    "a stop string has 1 to " + MAX_STOP_CHARACTERS + " characters, found one of " + stop.length());
        }
    }

    private static void require(boolean right, String message) {
        if (!right) {
            throw new IllegalArgumentException(message);
        }
    }

    /** Greedy, {@value #DEFAULT_NEW_TOKENS} tokens, the model's own stop tokens. */
    public static GenerationOptions defaults() {
        return new GenerationOptions(DEFAULT_NEW_TOKENS, 0, 0, 1, 0, 1, null, null, List.of(), null);
    }

    public GenerationOptions withMaxNewTokens(int most) {
        return new GenerationOptions(
                most, temperature, topK, topP, minP, repetitionPenalty, seed, stopTokens, stopStrings, deadline);
    }

    public GenerationOptions withTemperature(float value) {
        return new GenerationOptions(
                maxNewTokens, value, topK, topP, minP, repetitionPenalty, seed, stopTokens, stopStrings, deadline);
    }

    public GenerationOptions withTopK(int k) {
        return new GenerationOptions(
                maxNewTokens, temperature, k, topP, minP, repetitionPenalty, seed, stopTokens, stopStrings, deadline);
    }

    public GenerationOptions withTopP(float p) {
        return new GenerationOptions(
                maxNewTokens, temperature, topK, p, minP, repetitionPenalty, seed, stopTokens, stopStrings, deadline);
    }

    public GenerationOptions withMinP(float p) {
        return new GenerationOptions(
                maxNewTokens, temperature, topK, topP, p, repetitionPenalty, seed, stopTokens, stopStrings, deadline);
    }

    public GenerationOptions withRepetitionPenalty(float penalty) {
        return new GenerationOptions(
                maxNewTokens, temperature, topK, topP, minP, penalty, seed, stopTokens, stopStrings, deadline);
    }

    public GenerationOptions withSeed(@Nullable Long value) {
        return new GenerationOptions(
                maxNewTokens,
                temperature,
                topK,
                topP,
                minP,
                repetitionPenalty,
                value,
                stopTokens,
                stopStrings,
                deadline);
    }

    /** Other stop tokens than the model's; none if empty, the model's own if null. */
    public GenerationOptions withStopTokens(@Nullable Set<Integer> tokens) {
        return new GenerationOptions(
                maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, seed, tokens, stopStrings, deadline);
    }

    public GenerationOptions withStopStrings(String... strings) {
        return new GenerationOptions(
                maxNewTokens,
                temperature,
                topK,
                topP,
                minP,
                repetitionPenalty,
                seed,
                stopTokens,
                List.of(strings),
                deadline);
    }

    public GenerationOptions withDeadline(@Nullable Duration fromSubmission) {
        return new GenerationOptions(
                maxNewTokens,
                temperature,
                topK,
                topP,
                minP,
                repetitionPenalty,
                seed,
                stopTokens,
                stopStrings,
                fromSubmission);
    }
}
