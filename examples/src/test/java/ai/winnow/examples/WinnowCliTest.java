package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The commands as a user types them. */
class WinnowCliTest {

    @TempDir
    private Path folder;

    private record Outcome(int code, String out, String err) {}

    @Test
    void doctorSaysWhatThereIs() {
        Outcome outcome = run("doctor");
        assertThat(outcome.code).isZero();
        assertThat(outcome.out)
                .startsWith("```")
                .endsWith("```\n")
                .containsPattern("cpu +\\S")
                .containsPattern("processors +\\d+ for this JVM")
                .containsPattern("flags +MaxVectorSize=\\d+")
                .containsPattern("(backend|MISSING) +simd")
                .containsPattern("methods +([a-z-]+, )*teal")
                .containsPattern("djl +\\d")
                .containsPattern("tokenizers +\\d");
    }

    @Test
    void aCheckpointThatIsWrittenCanBeLoadedAndExplained() {
        String checkpoint = folder.resolve("tiny").toString();
        assertThat(run("write-checkpoint", "--shape=tiny", "--out=" + checkpoint).code)
                .isZero();
        assertThat(folder.resolve("tiny/model.safetensors.index.json")).exists();
        assertThat(run("load-time", checkpoint).out).contains("load", "weights", "resident");
        Outcome explained = run("explain", "--model", checkpoint, "--policy", "wina:0.5,rotate=false");
        assertThat(explained.out).contains("policy     wina:0.5,rotate=false", "PREFILL", "DECODE");
        Outcome again = run("write-checkpoint", "--shape=tiny", "--out=" + checkpoint);
        assertThat(again.code).isEqualTo(1);
        assertThat(again.err).contains("exists").doesNotContain("\tat ");
    }

    @Test
    void aModelIsCalibratedAndThenGenerates() throws Exception {
        try (EmbeddedModel model = EmbeddedModel.unpack()) {
            String dir = model.folder().toString();
            String[] generate = {"generate", "--model", dir, "--policy=teal:0.25", "--max-tokens=12", "Once upon a time"
            };
            Outcome before = run(generate);
            assertThat(before.code).isEqualTo(1);
            assertThat(before.err).contains("calibration").doesNotContain("\tat ");
            Path text = Files.writeString(
                    folder.resolve("text"), Stories.load().calibration().getFirst());
            Outcome calibrated = run("calibrate", "--model", dir, "--policy=teal:0.25", "--text=" + text);
            assertThat(calibrated.code).isZero();
            assertThat(calibrated.out).contains("teal");
            Outcome after = run(generate);
            assertThat(after.code).as(after.err).isZero();
            assertThat(after.out).startsWith("Once upon a time").hasSizeGreaterThan(20);
        }
    }

    @Test
    void policiesAreScoredOnText() throws Exception {
        try (EmbeddedModel model = EmbeddedModel.unpack()) {
            Path text = Files.writeString(
                    folder.resolve("text"),
                    String.join("\n", Stories.load().scored().subList(0, 8)));
            String[] call = {
                "perplexity",
                "--model=" + model.folder(),
                "--text=" + text,
                "--windows=2",
                "--window=80",
                "--prompt=40",
                "--policies=tidal-decode:budget=16,select=0;double-sparsity:budget=4096;tca-attention:tau=0,block=8,window=8"
            };
            Outcome scored = run(call);
            assertThat(scored.code).as(scored.err).isZero();
            assertThat(scored.out)
                    .containsPattern("dense .* \\+0.00 %  +100.0 %")
                    .containsPattern("double-sparsity.* \\+0.00 %  +100.0 %")
                    .containsPattern("tidal-decode:budget=16.* [1-9][0-9]\\.[0-9] %")
                    .containsPattern("tca-attention.* [1-9][0-9]\\.[0-9] %")
                    .contains("78 predictions each");
            call[4] = "--window=100000";
            assertThat(run(call).err).contains("context holds").doesNotContain("\tat ");
        }
    }

    @Test
    void aWrongCallSaysWhatIsRight() {
        assertThat(run("write-checkpoint", "--shape=7b", "--out=" + folder.resolve("x")).err)
                .contains("1b and tiny");
        assertThat(run("explain", "--model", folder.toString(), "--policy=nothing:1").err)
                .contains("teal");
    }

    private static Outcome run(String... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine command = CommandErrors.explained(WinnowCli.commandLine())
                .setOut(new PrintWriter(out))
                .setErr(new PrintWriter(err));
        int code = command.execute(arguments);
        return new Outcome(code, out.toString(), err.toString());
    }
}
