package ai.winnow.benchmarks.compare;

import ai.winnow.kernels.simd.limits.MachineLimits;
import com.google.gson.GsonBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;

/** What a run leaves behind: JSON for programs, a table and a chart for people. */
final class ReportFiles {

    private ReportFiles() {}

    static Row.Machine machine() throws IOException {
        return new Row.Machine(
                cpu(),
                Runtime.getRuntime().availableProcessors(),
                Runtime.version().toString(),
                MachineLimits.vectorBits(),
                LocalDate.now(ZoneOffset.UTC).toString());
    }

    private static String cpu() throws IOException {
        Path info = Path.of("/proc/cpuinfo");
        if (Files.isReadable(info)) {
            try (Stream<String> lines = Files.lines(info)) {
                return lines.filter(line -> line.startsWith("model name"))
                        .map(line -> line.substring(line.indexOf(':') + 1).strip())
                        .findFirst()
                        .orElse(System.getProperty("os.arch"));
            }
        }
        return System.getProperty("os.arch");
    }

    /** @return the table, and where the files are */
    static String write(Row.Report report, Path folder) throws IOException {
        Files.createDirectories(folder);
        String slug = report.machine().cpu().toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
        String name = report.machine().date() + "-" + slug;
        Files.writeString(
                folder.resolve(name + ".json"),
                new GsonBuilder()
                        .setPrettyPrinting()
                        .serializeSpecialFloatingPointValues()
                        .create()
                        .toJson(report));
        String table = table(report);
        Files.writeString(folder.resolve(name + ".md"), table + "\n![times the limit](" + name + ".png)\n");
        BitmapEncoder.saveBitmap(chart(report), folder.resolve(name + ".png").toString(), BitmapFormat.PNG);
        return table + "\nThe same in " + folder.resolve(name) + ".json, .md and .png";
    }

    private static String table(Row.Report report) {
        Row.Machine machine = report.machine();
        TreeSet<String> peers = new TreeSet<>();
        report.rows().forEach(row -> peers.addAll(row.peersMs().keySet()));
        StringBuilder text = new StringBuilder();
        text.append(String.format(
                Locale.ROOT,
                "# Kernels beside their peers, %s%n%n%s, %d cores, Java %s, vectors of %d bits.%n",
                machine.date(),
                machine.cpu(),
                machine.cores(),
                machine.jdk(),
                machine.vectorBits()));
        report.limits()
                .readGigabytes()
                .forEach((threads, read) -> text.append(String.format(
                        Locale.ROOT,
                        "Measured limits with %s thread%s: %.1f GB/s read, %.0f GFLOP/s (f32).%n",
                        threads,
                        threads.equals("1") ? "" : "s",
                        read,
                        report.limits().fmaGigaflops().getOrDefault(threads, Double.NaN))));
        text.append(String.format(
                "%n`mvn -q -Pcompare verify -DskipTests`: medians of rounds in which all of a line ran in turns. Weights and caches come from"
                        + " memory where a kernel is bound by reading.%nLimit: share of the bandwidth (one row, few rows, attention of one token) or of the"
                        + " multiply-adds (many rows, prefill). Ideal: of what skipping for free would%ntake. Peers without bf16 and f16 weights compute"
                        + " those lines in f32. Every line of ours was checked against f64 or the reference.%n%n"));
        List<String> head = new ArrayList<>(
                List.of("kernel", "type", "shape", "", "threads", "ms", "limit", "x our dense", "ideal"));
        peers.forEach(peer -> head.add("x " + peer));
        line(text, head);
        line(text, head.stream().map(each -> "---").toList());
        for (Row row : report.rows()) {
            List<String> cells = new ArrayList<>(List.of(
                    row.kernel(),
                    row.dtype(),
                    row.shape(),
                    params(row.params()),
                    String.valueOf(row.threads()),
                    format("%.3f", row.oursMs()),
                    format("%.0f %%", 100 * row.limitFraction()),
                    ratio(row.ownDenseMs(), row.oursMs()),
                    row.idealFraction() == null ? "" : format("%.0f %%", 100 * row.idealFraction())));
            peers.forEach(peer -> cells.add(ratio(row.peersMs().get(peer), row.oursMs())));
            line(text, cells);
        }
        return text.toString();
    }

    private static String params(Map<String, Object> params) {
        List<String> words = new ArrayList<>();
        params.forEach((name, value) -> words.add(name + " " + value));
        return String.join(", ", words);
    }

    private static String ratio(@Nullable Double other, double ours) {
        return other == null ? "" : format("%.2f", other / ours);
    }

    private static String format(String format, double value) {
        return String.format(Locale.ROOT, format, value);
    }

    private static void line(StringBuilder text, List<String> cells) {
        text.append("| ").append(String.join(" | ", cells)).append(" |\n");
    }

    private static CategoryChart chart(Row.Report report) {
        List<Row> rows = report.rows().stream()
                .filter(row -> !row.peersMs().isEmpty() && row.threads() > 1)
                .toList();
        List<String> names = new ArrayList<>();
        for (Row row : rows) {
            names.add(row.kernel() + " " + row.dtype() + " " + row.shape() + " " + params(row.params()));
        }
        CategoryChart chart = new CategoryChartBuilder()
                .width(1600)
                .height(800)
                .title("Times as fast as the peer, " + report.machine().cpu() + ", "
                        + report.machine().date())
                .yAxisTitle("peer's time / ours")
                .build();
        chart.getStyler().setXAxisLabelRotation(70);
        chart.getStyler().setLegendPosition(LegendPosition.InsideNE);
        TreeSet<String> peers = new TreeSet<>();
        rows.forEach(row -> peers.addAll(row.peersMs().keySet()));
        for (String peer : peers) {
            List<Double> ratios = new ArrayList<>();
            for (Row row : rows) {
                Double time = row.peersMs().get(peer);
                ratios.add(time == null ? 0.0 : time / row.oursMs());
            }
            chart.addSeries(peer, names, ratios);
        }
        return chart;
    }
}
