package ai.winnow.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class GenerationOptionsTest {

    private static final GenerationOptions OPTIONS = GenerationOptions.defaults();

    @Test
    void eachOptionOutOfRangeIsNamedWithItsValue() {
        assertRefused(() -> OPTIONS.withMaxNewTokens(0), "maxNewTokens must be at least 1, found 0");
        assertRefused(() -> OPTIONS.withTemperature(-1), "temperature");
        assertRefused(() -> OPTIONS.withTemperature(Float.NaN), "NaN");
        assertRefused(() -> OPTIONS.withTopK(-1), "topK");
        assertRefused(() -> OPTIONS.withTopP(0), "topP must be in (0, 1], found 0.0");
        assertRefused(() -> OPTIONS.withTopP(1.5f), "topP");
        assertRefused(() -> OPTIONS.withMinP(-0.1f), "minP");
        assertRefused(() -> OPTIONS.withRepetitionPenalty(0), "repetitionPenalty");
        assertRefused(() -> OPTIONS.withStopStrings(""), "stop string");
        assertRefused(() -> OPTIONS.withDeadline(Duration.ZERO), "deadline");
    }

    @Test
    void eachWitherChangesOneOption() {
        GenerationOptions changed = OPTIONS.withMaxNewTokens(3)
                .withTemperature(0.5f)
                .withTopK(4)
                .withTopP(0.9f)
                .withMinP(0.1f)
                .withRepetitionPenalty(1.2f)
                .withSeed(5L)
                .withStopTokens(java.util.Set.of(9))
                .withStopStrings("x")
                .withDeadline(Duration.ofSeconds(1));
        assertThat(changed)
                .isEqualTo(new GenerationOptions(
                        3,
                        0.5f,
                        4,
                        0.9f,
                        0.1f,
                        1.2f,
                        5L,
                        java.util.Set.of(9),
                        java.util.List.of("x"),
                        Duration.ofSeconds(1)));
    }

    private static void assertRefused(org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String words) {
        assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessageContaining(words);
    }
}
