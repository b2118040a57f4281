package ai.winnow.decode;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StopStringsTest {

    @Test
    void aStopStringMaySpanPiecesAndNothingOfItLeaks() {
        StopStrings stops = new StopStrings(List.of("END"));
        assertThat(stops.append("the E")).isEqualTo("the ");
        assertThat(stops.append("N")).isEmpty();
        assertThat(stops.append("Dless")).isEmpty();
        assertThat(stops.found()).isTrue();
    }

    @Test
    void whatWasHeldBackComesWhenItIsNoStopString() {
        StopStrings stops = new StopStrings(List.of("aab"));
        assertThat(stops.append("a") + stops.append("a") + stops.append("a")).isEqualTo("a");
        assertThat(stops.append("c")).isEqualTo("aac");
        assertThat(stops.append("aa")).isEmpty();
        assertThat(stops.finish()).isEqualTo("aa");
        assertThat(stops.found()).isFalse();
    }

    @Test
    void theFirstToEndWinsAndOfThoseTheLongest() {
        assertThat(new StopStrings(List.of("abc", "b")).append("xabc")).isEqualTo("xa");
        assertThat(new StopStrings(List.of("c", "abc")).append("xabc")).isEqualTo("x");
    }

    @Test
    void theResultDoesNotDependOnHowTheTextIsCut() {
        List<String> stops = List.of("abab", "ba!", "bb");
        for (int seed = 0; seed < 2_000; seed++) {
            Random random = new Random(seed);
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 24; i++) {
                text.append("aab!".charAt(random.nextInt(4)));
            }
            StopStrings whole = new StopStrings(stops);
            String expected = whole.append(text.toString());
            StopStrings cut = new StopStrings(stops);
            StringBuilder out = new StringBuilder();
            for (int i = 0; i < text.length() && !cut.found(); ) {
                int next = Math.min(text.length(), i + 1 + random.nextInt(4));
                out.append(cut.append(text.substring(i, next)));
                i = next;
            }
            assertThat(cut.found()).as("seed %d", seed).isEqualTo(whole.found());
            assertThat(out + cut.finish()).as("seed %d", seed).isEqualTo(expected + whole.finish());
            for (String stop : stops) {
                assertThat(out).doesNotContain(stop);
            }
        }
    }
}
