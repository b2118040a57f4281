package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Programs read these names. */
class DemoReportTest {

    @Test
    void theFieldsAreThoseThatWereAgreed() {
        JsonObject json = JsonParser.parseString(new DemoReport(
                                List.of(new Quality("teal:0.4", 0.4, 0.38, 2.5, 2.3, 100)),
                                List.of(new Speed("winnow", "dense", "bf16", 2, 100, 10, 16)))
                        .json())
                .getAsJsonObject();
        assertThat(json.keySet()).containsExactly("quality", "speed");
        assertThat(json.getAsJsonArray("quality").get(0).getAsJsonObject().keySet())
                .containsExactly(
                        "policy", "sparsityAsked", "sparsityReached", "perplexity", "densePerplexity", "tokens");
        assertThat(json.getAsJsonArray("speed").get(0).getAsJsonObject().keySet())
                .containsExactly(
                        "engine",
                        "policy",
                        "dtype",
                        "threads",
                        "prefillTokensPerSecond",
                        "decodeTokensPerSecond",
                        "scaledFromLayers");
    }
}
