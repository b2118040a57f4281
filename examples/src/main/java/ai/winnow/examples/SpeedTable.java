package ai.winnow.examples;

import ai.winnow.tensor.DType;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The rows of the table of speeds, and how they compare. */
final class SpeedTable {

    /** Layers to measure when not all fit. */
    private static final int FEW_LAYERS = 4;

    private final ModelShape shape;
    private final List<Measured> rows = new ArrayList<>();

    SpeedTable(ModelShape shape) {
        this.shape = shape;
    }

    void add(Measured row) {
        rows.add(row);
    }

    List<Speed> speeds() {
        return rows.stream().map(Measured::speed).toList();
    }

    /** As much of {@code shape} as fits into memory in this type: all of it, or a few layers whose time is scaled. */
    static ModelShape fitting(ModelShape shape, DType dtype) {
        OptionalLong available = ProcessMemory.available();
        // A quarter more for what packing holds for a moment, activations, and the JVM.
        boolean all = available.isEmpty() || shape.bytes(dtype) * 1.25 < available.getAsLong();
        return all ? shape : shape.withLayers(Math.min(FEW_LAYERS, shape.layers()));
    }

    @Override
    public String toString() {
        TextTable table = new TextTable(
                "engine",
                "policy",
                "dtype",
                "threads",
                "prefill tok/s",
                "decode tok/s",
                "ms/token",
                "of it head",
                "x libtorch",
                "x by hand",
                "x our dense",
                "at most",
                "no head",
                "at most",
                "layers");
        @Nullable Measured baseline = rows.getFirst().speed().engine().equals("libtorch") ? rows.getFirst() : null;
        @Nullable Measured strongest = baseline == null ? null : strongestOf(baseline);
        for (Measured row : rows) {
            Measured dense = denseOf(row);
            boolean sparse = row.bytes() < dense.bytes();
            table.row(
                    row.speed().engine(),
                    row.speed().policy(),
                    row.speed().dtype(),
                    String.valueOf(row.speed().threads()),
                    text(row.speed().prefillTokensPerSecond(), "%.1f"),
                    text(row.speed().decodeTokensPerSecond(), "%.2f"),
                    text(row.tokenNanos() / 1e6, "%.1f"),
                    text(row.headNanos() / 1e6, "%.1f"),
                    baseline == null ? "" : text(row.speedup(baseline), "%.2f"),
                    strongest == null ? "" : text(row.speedup(strongest), "%.2f"),
                    sparse ? text(row.speedup(dense), "%.2f") : "",
                    sparse ? text(row.byteBound(dense), "%.2f") : "",
                    sparse ? text(row.speedupWithoutHead(dense), "%.2f") : "",
                    sparse ? text(row.byteBoundWithoutHead(dense), "%.2f") : "",
                    String.valueOf(row.speed().scaledFromLayers()));
        }
        return table.toString();
    }

    /** What the columns mean, and what a reader must know to trust them. */
    String notes() {
        String scaled = rows.stream().anyMatch(row -> row.speed().scaledFromLayers() < shape.layers())
                ? "Where fewer than " + shape.layers()
                        + " layers were measured, for want of memory, their time is scaled to all;"
                        + " the head's is not.\n"
                : "";
        return """
                prefill: the fastest of %d prompts. decode: the median token. of it head: time of the product with the vocabulary.
                x our dense: against our own dense path with the same type of weights; at most: what the bytes read allow.
                no head: the same with the head's time, and bytes, taken out.
                libtorch, dense: its fastest call for each product. It multiplies by one vector on a single thread.
                libtorch, by hand: two halves of each product as a batch, which use two threads, where that is faster. x by hand: against it.
                %s""".formatted(SpeedRun.PROMPTS, scaled);
    }

    /** The fastest row of the engine that the others are compared with. */
    private Measured strongestOf(Measured first) {
        return rows.stream()
                .filter(other -> other.speed().engine().equals(first.speed().engine()))
                .min(Comparator.comparingDouble(Measured::tokenNanos))
                .orElse(first);
    }

    /** The dense row of the same engine and type; the row itself if it is dense. */
    private Measured denseOf(Measured row) {
        return rows.stream()
                .filter(other -> other.speed().engine().equals(row.speed().engine())
                        && other.speed().dtype().equals(row.speed().dtype())
                        && other.speed().policy().equals("dense"))
                .findFirst()
                .orElse(row);
    }

    private static String text(double value, String format) {
        return String.format(Locale.ROOT, format, value);
    }
}
