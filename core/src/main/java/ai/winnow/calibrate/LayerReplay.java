package ai.winnow.calibrate;

import ai.winnow.ir.Graph;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.LayerGraph;
import ai.winnow.ir.StandardInputs;
import ai.winnow.ir.Value;
import ai.winnow.kv.KvCache;
import ai.winnow.runtime.GraphRunner;
import ai.winnow.runtime.SparseModel;
import ai.winnow.runtime.Weights;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** One layer of a model, run again and again on the inputs that the model gives it. Keeps these and the layer's own outputs. */
final class LayerReplay implements AutoCloseable {

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;

    /** Takes the outputs of one piece of a window. */
    private interface Sink {
        void accept(List<Tensor> outputs, int rows);
    }

    private final SparseModel model;
    private final int layer;
    private final LayerGraph part;
    private final List<int[]> windows;
    private final List<Rows> entering;
    private final List<Rows> leaving = new ArrayList<>();
    private final Arena arena = Arena.ofShared();
    private final Map<String, Tensor> inputs = new HashMap<>();
    private final KvCache cache;

    /** Other layouts than the model's may be wanted here; they go with the layer. */
    private final Weights weights;

    /** @param entering the rows of {@code part.entering()}, closed with this replay */
    LayerReplay(SparseModel model, int layer, LayerGraph part, CalibrationData data, List<Rows> entering) {
        this.model = model;
        this.layer = layer;
        this.part = part;
        this.windows = data.windows();
        this.entering = entering;
        KvShape shape = model.definition().kvShape(model.limits());
        int longest = windows.stream().mapToInt(window -> window.length).max().orElseThrow();
        long pages = (longest + KvShape.PAGE_ROWS - 1L) / KvShape.PAGE_ROWS;
        List<KvPlane> planes = KvPlane.of(part.graph());
        long pageBytes = 2 * shape.pageBytes()
                + planes.stream().mapToLong(KvPlane::pageBytes).sum();
        this.cache = new KvCache(shape, planes, pageBytes * shape.layers() * shape.heads() * pages);
        planes.forEach(plane -> inputs.put(plane.inputName(), cache.plane(plane)));
        this.weights = model.weights().unshared();
        declareInputs();
        part.leaving()
                .forEach(value ->
                        leaving.add(new Rows(data.tokens(), value.spec().shape().max(1))));
    }

    /** Runs the layer as it is and keeps its outputs; to be called first. */
    void runUnchanged() {
        run(part.graph(), (outputs, rows) -> {
            for (int i = 0; i < outputs.size(); i++) {
                leaving.get(i).accept(outputs.get(i), rows);
            }
        });
    }

    private void declareInputs() {
        inputs.put("kv.keys", cache.keys());
        inputs.put("kv.values", cache.values());
        inputs.put("kv.table", cache.table());
        inputs.put("kv.lengths", cache.lengths());
        for (Value input : part.graph().inputs()) {
            if (!inputs.containsKey(input.name())) {
                inputs.put(input.name(), Tensor.allocate(arena, input.spec(), Layout.ROW_MAJOR));
            }
        }
    }

    int layer() {
        return layer;
    }

    LayerGraph part() {
        return part;
    }

    /** The rows of {@code part().leaving()}; who takes them closes them. */
    List<Rows> takeLeaving() {
        List<Rows> taken = List.copyOf(leaving);
        leaving.clear();
        return taken;
    }

    /** See {@link ai.winnow.method.Calibration#layerError}. */
    double error(UnaryOperator<Graph> change, double lastFraction) {
        Difference difference = new Difference(lastFraction);
        run(change.apply(part.graph()), difference);
        return difference.mean();
    }

    /** Sums up how far outputs are from the layer's own. */
    private final class Difference implements Sink {
        private final double lastFraction;
        private final double[][] squares; // [outputs][width], of the present window
        private int window;
        private int position;
        private long row;
        private double sum;
        private long count;

        Difference(double lastFraction) {
            this.lastFraction = lastFraction;
            this.squares =
                    leaving.stream().map(rows -> new double[rows.width()]).toArray(double[][]::new);
        }

        @Override
        public void accept(List<Tensor> outputs, int rows) {
            int length = windows.get(window).length;
            int first = length - Math.max(1, (int) (length * lastFraction));
            for (int i = 0; i < rows; i++, position++, row++) {
                for (int output = 0; position >= first && output < squares.length; output++) {
                    addRow(outputs.get(output), i, leaving.get(output), squares[output]);
                }
            }
            if (position == length) {
                endWindow();
            }
        }

        private void addRow(Tensor found, int at, Rows expected, double[] sums) {
            for (int channel = 0; channel < sums.length; channel++) {
                double d = (double) found.getFloat((long) at * sums.length + channel) - expected.get(row, channel);
                sums[channel] += d * d;
            }
        }

        private void endWindow() {
            for (double[] sums : squares) {
                for (int channel = 0; channel < sums.length; channel++) {
                    sum += Math.sqrt(sums[channel]);
                    sums[channel] = 0;
                }
                count += sums.length;
            }
            window++;
            position = 0;
        }

        double mean() {
            return sum / Math.max(1, count);
        }
    }

    private void run(Graph graph, Sink sink) {
        try (GraphRunner runner = new GraphRunner(graph, weights, model, this::input)) {
            long first = 0;
            for (int[] window : windows) {
                int slot = cache.open();
                try {
                    for (int done = 0; done < window.length; ) {
                        int rows = Math.min(window.length - done, model.limits().maxTokens());
                        cache.reserve(new int[] {slot}, new int[] {rows});
                        fill(window, done, rows, slot, first + done);
                        sink.accept(runner.run(null), rows);
                        cache.advance(slot, rows);
                        done += rows;
                    }
                } finally {
                    cache.close(slot);
                }
                first += window.length;
            }
        }
    }

    private void fill(int[] window, int done, int rows, int slot, long firstRow) {
        set(StandardInputs.TOKENS, 0, rows);
        set(StandardInputs.SEQUENCES, 0, 1);
        set(StandardInputs.OUTPUTS, 0, 1);
        set("slots", 0, slot);
        set("indptr", 0, 0);
        set("indptr", 1, rows);
        set("outputRows", 0, rows - 1);
        for (int row = 0; row < rows; row++) {
            set("ids", row, window[done + row]);
            set("positions", row, done + row);
            set("sequence", row, 0);
        }
        List<String> names = part.entryNames();
        for (int i = 0; i < names.size(); i++) {
            entering.get(i).copyTo(input(names.get(i)), firstRow, rows);
        }
    }

    private void set(String name, int index, int value) {
        input(name).segment().setAtIndex(INT, index, value);
    }

    private Tensor input(String name) {
        Tensor tensor = inputs.get(name);
        if (tensor == null) {
            throw new IllegalStateException("a layer run by itself has no input '" + name + "'");
        }
        return tensor;
    }

    @Override
    public void close() {
        entering.forEach(Rows::close);
        leaving.forEach(Rows::close);
        cache.close();
        weights.close();
        arena.close();
    }
}
