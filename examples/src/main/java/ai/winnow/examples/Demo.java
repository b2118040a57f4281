package ai.winnow.examples;

import ai.djl.ModelException;
import ai.djl.repository.zoo.ZooModel;
import ai.djl.translate.TranslateException;
import ai.winnow.decode.TextStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/**
 * The demo that {@code mvn -q -Pdemo verify -DskipTests} runs: a story from a real model, what policies cost in quality on real text,
 * and what they gain at a real size. The first argument names the file that the figures are written to.
 */
public final class Demo {

    private Demo() {}

    static void main(String... arguments) throws ModelException, IOException, TranslateException {
        // Stories hold curly quotes, whatever the terminal's locale.
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        Progress progress = new Progress(out);
        int threads = Math.min(2, Runtime.getRuntime().availableProcessors());
        progress.say(
                "Winnow on Java %d, %d threads. This takes about two minutes on a machine with nothing else to do.",
                Runtime.version().feature(), threads);
        List<Quality> quality;
        try (EmbeddedModel model = EmbeddedModel.unpack();
                ZooModel<String, TextStream> dense = QualityDemo.load(model.folder(), threads)) {
            QualityDemo demo = new QualityDemo(dense, model.folder(), progress);
            demo.tellStory(out);
            quality = demo.table(out);
        }
        List<Speed> speed = new SpeedDemo(ModelShape.ONE_BILLION, threads, progress).table(out);
        Path file = Path.of(arguments.length > 0 ? arguments[0] : "demo.json");
        new DemoReport(quality, speed).write(file);
        progress.say("The same figures are in %s", file);
    }
}
