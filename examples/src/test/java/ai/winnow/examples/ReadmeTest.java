package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class ReadmeTest {

    @Test
    void theExampleIsTheOneThatCompiles() throws IOException {
        Path source = Path.of("src/main/java/ai/winnow/examples/Quickstart.java");
        String compiled = between(Files.readString(source), "// tag::quickstart[]\n", "// end::quickstart[]");
        String readme = Files.readString(Modules.root().resolve("README.md"));
        assertThat(between(readme, "<!-- quickstart -->\n", "<!-- /quickstart -->"))
                .isEqualTo("```java\n" + compiled + "```\n");
    }

    private static String between(String text, String begin, String end) {
        int from = text.indexOf(begin);
        assertThat(from).as("the marker %s", begin).isNotNegative();
        return text.substring(from + begin.length(), text.indexOf(end, from));
    }
}
