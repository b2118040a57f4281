package ai.winnow.benchmarks.compare;

import ai.winnow.kernels.simd.limits.MachineLimits;
import com.google.gson.GsonBuilder;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.jspecify.annotations.Nullable;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;

/** What a run leaves behind: JSON for programs, a table and a chart for people. */
final class ReportFiles {

    private static final int WIDTH = 1600;

    private ReportFiles() {}

    /** Everything that a run found. */
    record Report(Row.Machine machine, Row.Limits limits, List<Contest.Outcome> outcomes) {}

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
    static String write(Report all, Path folder) throws IOException {
        Row.Report report = new Row.Report(
                all.machine(),
                all.limits(),
                all.outcomes().stream().map(Contest.Outcome::row).toList());
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
        Files.writeString(
                folder.resolve(name + ".md"),
                table + calls(all.outcomes()) + "\n![times as fast as others](" + name + ".png)\n");
        ImageIO.write(charts(report), "png", folder.resolve(name + ".png").toFile());
        return table + "\nThe same in " + folder.resolve(name) + ".json, .md and .png";
    }

    private static String table(Row.Report report) {
        Row.Machine machine = report.machine();
        Set<String> peers = peers(report.rows());
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
                        + " multiply-adds (many rows, prefill). Ideal: of what skipping for free would%ntake, where only the kept share is counted that some row needs. Peers without bf16 and f16 weights compute"
                        + " those lines in f32. Every line of ours was checked against f64 or the reference.%n%n"));
        List<String> head = new ArrayList<>(
                List.of("kernel", "type", "shape", "", "threads", "ms", "limit", "x our dense", "ideal"));
        peers.forEach(peer -> head.add("x " + peer));
        Map<String, List<Row>> sections = new LinkedHashMap<>();
        for (Row row : report.rows()) {
            String section = family(row.kernel()) + (row.threads() == 1 ? ", one thread" : "");
            sections.computeIfAbsent(section, _ -> new ArrayList<>()).add(row);
        }
        sections.forEach((name, rows) -> {
            text.append("\n## ").append(name).append("\n\n");
            line(text, head);
            line(text, head.stream().map(each -> "---").toList());
            rows.forEach(row -> line(text, cells(row, peers)));
        });
        return text.toString();
    }

    private static List<String> cells(Row row, Set<String> peers) {
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
        return cells;
    }

    /** Which of its calls each peer was the fastest with, and where. */
    private static String calls(List<Contest.Outcome> outcomes) {
        Map<String, List<String>> lines = new TreeMap<>();
        for (Contest.Outcome outcome : outcomes) {
            Row row = outcome.row();
            outcome.calls().forEach((peer, call) -> lines.computeIfAbsent(peer + ": " + call, _ -> new ArrayList<>())
                    .add(row.kernel() + " " + row.dtype() + " " + row.shape()));
        }
        StringBuilder text = new StringBuilder("\n## The peers' calls that were counted, the fastest of each\n\n");
        lines.forEach((call, rows) -> text.append("- ")
                .append(call)
                .append(": ")
                .append(String.join(", ", new TreeSet<>(rows)))
                .append('\n'));
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

    /** One chart for each family of kernels, one above the other: peers, or our dense kernel where there is none. */
    private static BufferedImage charts(Row.Report report) {
        Map<String, List<Row>> families = new LinkedHashMap<>();
        for (Row row : report.rows()) {
            boolean compared = !row.peersMs().isEmpty() || row.ownDenseMs() != null;
            if (compared && row.threads() > 1) {
                families.computeIfAbsent(family(row.kernel()), _ -> new ArrayList<>())
                        .add(row);
            }
        }
        List<BufferedImage> images = new ArrayList<>();
        families.forEach((family, rows) -> images.add(BitmapEncoder.getBufferedImage(chart(family, rows))));
        int height = images.stream().mapToInt(BufferedImage::getHeight).sum();
        BufferedImage all = new BufferedImage(WIDTH, Math.max(1, height), BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = all.createGraphics();
        int top = 0;
        for (BufferedImage image : images) {
            graphics.drawImage(image, 0, top, null);
            top += image.getHeight();
        }
        graphics.dispose();
        return all;
    }

    private static String family(String kernel) {
        return switch (kernel) {
            case "gemv", "gemm" -> "dense linear layers";
            case "sparse-gemv" -> "inputs skipped";
            case "masked-rows" -> "outputs skipped";
            case "sparse-weight" -> "sparse weights";
            case "decode-attention", "prefill-attention" -> "attention";
            case "sparse-decode-attention", "sparse-prefill-attention", "method-attention" -> "attention to fewer keys";
            case "ffn" -> "feed-forward networks";
            default -> "between the products";
        };
    }

    private static CategoryChart chart(String family, List<Row> rows) {
        CategoryChart chart = new CategoryChartBuilder()
                .width(WIDTH)
                .height(560)
                .title("Times as fast: " + family)
                .yAxisTitle("other's time / ours")
                .build();
        chart.getStyler().setXAxisLabelRotation(60);
        chart.getStyler().setLegendPosition(LegendPosition.OutsideE);
        chart.getStyler().setAvailableSpaceFill(0.8);
        List<String> names = rows.stream().map(row -> name(row, rows)).toList();
        series(chart, "our dense", names, rows, Row::ownDenseMs);
        for (String peer : peers(rows)) {
            series(chart, peer, names, rows, row -> row.peersMs().get(peer));
        }
        return chart;
    }

    /** What distinguishes {@code row} from others of its chart. */
    private static String name(Row row, List<Row> rows) {
        List<String> words = new ArrayList<>();
        if (rows.stream().anyMatch(other -> !other.kernel().equals(row.kernel()))) {
            words.add(row.kernel());
        }
        words.add(row.dtype());
        if (rows.stream().anyMatch(other -> !other.shape().equals(row.shape()))) {
            words.add(row.shape());
        }
        row.params().forEach((name, value) -> {
            if (rows.stream().anyMatch(other -> !value.equals(other.params().get(name)))) {
                words.add(value instanceof Number ? name + " " + value : value.toString());
            }
        });
        return String.join(" ", words);
    }

    private static void series(
            CategoryChart chart,
            String name,
            List<String> names,
            List<Row> rows,
            Function<Row, @Nullable Double> time) {
        List<Double> ratios = new ArrayList<>();
        for (Row row : rows) {
            Double other = time.apply(row);
            ratios.add(other == null ? 0.0 : other / row.oursMs());
        }
        if (ratios.stream().anyMatch(ratio -> ratio > 0)) {
            chart.addSeries(name, names, ratios);
        }
    }

    private static Set<String> peers(List<Row> rows) {
        Set<String> peers = new TreeSet<>();
        rows.forEach(row -> peers.addAll(row.peersMs().keySet()));
        return peers;
    }
}
