package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Entry.Sparse;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.PackedFormat;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.StandardInputs;
import ai.winnow.ir.StepLimits;
import ai.winnow.ir.Value;
import ai.winnow.kv.KvCache;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.Interpreter;
import ai.winnow.runtime.GraphRunner;
import ai.winnow.runtime.Weights;
import ai.winnow.sparsity.attention.doublesparsity.DoubleSparsity;
import ai.winnow.sparsity.attention.doublesparsity.DoubleSparsity.Ranking;
import ai.winnow.sparsity.attention.mustafar.Mustafar;
import ai.winnow.sparsity.attention.tidaldecode.TidalDecode;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Attention of all layers of a model for one token of a long sequence, under a method: the graph that it makes of appending and attending,
 * planned and run as a model's, beside the same graph without it. Both read the same cache of random keys and values, or, where the method packs it, one of the
 * same numbers before they were packed.
 *
 * @param length tokens of the sequence, the one of the step included
 * @param share of the bytes of keys and values that is left to read, what is kept beside them included
 */
record MethodAttentionProblem(
        Label label,
        KvShape shape,
        int length,
        int queryHeads,
        SparsityMethod method,
        Map<String, Tensor> artefact,
        double share)
        implements Problem {

    private static final int PERIOD = 1_000_003;

    /** Of the greatest result: a key that f32 ranks otherwise than f64 may be another one of the list's least. */
    private static final double TOLERANCE = 0.02;

    /** A sixteenth of the keys and of the channels, one layer. */
    static MethodAttentionProblem doubleSparsity(int queryHeads, int heads, int headDim, int context, boolean perHead) {
        // Lists of single heads have keys in common by chance only: random ones do not agree.
        double keys = perHead ? 1 - Math.pow(1 - 1 / 16.0, (double) queryHeads / heads) : 1 / 16.0;
        KvShape shape = new KvShape(1, heads, headDim, 1, context, DType.BF16);
        return doubleSparsity(shape, context, queryHeads, context / 16, 0, perHead, keys + 1 / 32.0);
    }

    /** So few tokens that the method attends to all of them, in a cache for many. */
    static MethodAttentionProblem denseDoubleSparsity(int queryHeads, int heads, int headDim, int context, int length) {
        KvShape shape = new KvShape(1, heads, headDim, 1, context, DType.BF16);
        return doubleSparsity(shape, length, queryHeads, context / 16, 2048, false, 1);
    }

    private static MethodAttentionProblem doubleSparsity(
            KvShape shape, int length, int queryHeads, int budget, int from, boolean perHead, double share) {
        DoubleSparsity method = new DoubleSparsity(budget, 16, Ranking.Q, 0, from, perHead, DType.BF16);
        int[] channels = IntStream.range(0, shape.heads() * shape.headDim())
                .map(i -> (7 * i + 3) % shape.headDim()) // each once
                .toArray();
        Tensor heavy = Tensor.copyOf(Arena.ofAuto(), channels, shape.heads(), shape.headDim());
        Label label = label("double-sparsity", shape, length, queryHeads)
                .with("budget", budget)
                .with("lists", perHead ? queryHeads : shape.heads());
        Map<String, Tensor> artefact = Map.of("double-sparsity/q.layer.0", heavy);
        return new MethodAttentionProblem(label, shape, length, queryHeads, method, artefact, share);
    }

    /** The roles of the paper: two dense layers, two that select, the rest sparse. */
    static MethodAttentionProblem tidalDecode(
            int layers, int queryHeads, int heads, int headDim, int context, int budget) {
        KvShape shape = new KvShape(layers, heads, headDim, 1, context, DType.BF16);
        double sparse = layers - 4.0;
        double share = (4 + sparse * budget / context) / layers;
        return tidalDecode(shape, context, queryHeads, budget, share);
    }

    /** So few tokens that the method attends to all of them. */
    static MethodAttentionProblem denseTidalDecode(
            int layers, int queryHeads, int heads, int headDim, int context, int length) {
        KvShape shape = new KvShape(layers, heads, headDim, 1, context, DType.BF16);
        return tidalDecode(shape, length, queryHeads, length, 1);
    }

    private static MethodAttentionProblem tidalDecode(
            KvShape shape, int length, int queryHeads, int budget, double share) {
        Label label = label("tidal-decode", shape, length, queryHeads).with("budget", budget);
        return new MethodAttentionProblem(label, shape, length, queryHeads, TidalDecode.of(budget), Map.of(), share);
    }

    /** One layer; all rows that are due are packed. */
    static MethodAttentionProblem mustafar(
            int queryHeads, int heads, int headDim, int context, DType type, float sparsity) {
        KvShape shape = new KvShape(1, heads, headDim, 1, context, type);
        KvPacking packing = new KvPacking(sparsity, sparsity, 32, KvPacking.UNIT);
        PackedFormat format = new PackedFormat(shape, packing);
        int packed = packing.due(context - 1);
        long numbers = 2L * packed * KvPacking.kept(sparsity, headDim);
        double bytes = (double) format.keyNumbers() * packed / KvShape.PAGE_ROWS
                + type.bytes(numbers + 2L * (context - packed) * headDim);
        double share = bytes / type.bytes(2L * context * headDim);
        Label label = label("mustafar", shape, context, queryHeads).with("sparsity", sparsity);
        SparsityMethod method = new Mustafar(sparsity, sparsity, packing.residual(), packing.unit());
        return new MethodAttentionProblem(label, shape, context, queryHeads, method, Map.of(), share);
    }

    private static Label label(String method, KvShape shape, int length, int queryHeads) {
        return Label.of("method-attention", shape.dtype(), length + "x" + shape.headDim())
                .with("method", method)
                .with("layers", shape.layers())
                .with("queryHeads", queryHeads)
                .with("keyValueHeads", shape.heads());
    }

    @Override
    public Entry open(Ours ours) {
        Graph dense = graph();
        Graph sparse = rewritten(dense);
        double bytes = 2.0 * shape.pageBytes() * pages();
        Sequence sequence = new Sequence(sparse, bytes * share);
        // A packed cache has no pages left for the dense graph.
        Sequence unpacked = PackedAttention.of(sparse).isPresent() ? new Sequence(dense, bytes) : sequence;
        List<GraphRunner> whole = unpacked.runners(dense, ours);
        List<GraphRunner> runners = sequence.runners(sparse, ours);
        Subject subject = rotation(runners, () -> {
            whole.forEach(GraphRunner::close);
            runners.forEach(GraphRunner::close);
            sequence.close();
            if (unpacked != sequence) {
                unpacked.close();
            }
        });
        // Closed with ours, whose memory it is.
        Dense beside = new Dense(label.toString(), rotation(whole, () -> {}), null);
        return new Entry(
                subject,
                Work.read(bytes * share),
                result -> sequence.error(sparse, result),
                new Sparse(beside, share),
                null);
    }

    private static Subject rotation(List<GraphRunner> runners, Runnable close) {
        return new Rotation<>(
                "graph",
                runners,
                runner -> runner.run(null),
                runner -> runner.run(null).getLast().toFloats(),
                close);
    }

    /** Pages that the sequence has. */
    private int pages() {
        return shape.heads() * shape.layers() * ((length + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS);
    }

    private StepLimits limits() {
        return new StepLimits(1, 1, 1, shape.contextLength(), shape.dtype());
    }

    private Graph graph() {
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        StandardInputs inputs = StandardInputs.declare(builder, limits());
        StandardInputs.Kv kv = StandardInputs.Kv.declare(builder, shape);
        long width = (long) shape.heads() * shape.headDim();
        Value query = builder.input("query", rows(inputs, (long) queryHeads * shape.headDim()));
        Value key = builder.input("key", rows(inputs, width));
        Value value = builder.input("value", rows(inputs, width));
        List<Value> cache = new ArrayList<>(List.of(inputs.sequence(), inputs.indptr(), inputs.slots()));
        cache.addAll(kv.operands());
        List<Value> outputs = new ArrayList<>();
        float scale = (float) (1 / Math.sqrt(shape.headDim()));
        for (int layer = 0; layer < shape.layers(); layer++) {
            List<Value> append = new ArrayList<>(List.of(key, value));
            append.addAll(cache);
            builder.add(new KvAppend(shape, layer), Site.of(layer, Role.KV_APPEND), append);
            List<Value> attend = new ArrayList<>(List.of(query));
            attend.addAll(cache);
            outputs.addAll(builder.add(
                    new Attention(shape, layer, queryHeads, scale, 0), Site.of(layer, Role.ATTENTION), attend));
        }
        return builder.build(outputs);
    }

    private static TensorSpec rows(StandardInputs inputs, long width) {
        return TensorSpec.rows(DType.F32, inputs.positions().spec().shape().rowDim(), width);
    }

    private Graph rewritten(Graph dense) {
        Artefact made = new Artefact(method.info().name(), new TreeMap<>(), "none", "none", Instant.EPOCH, artefact);
        return SparsityPolicy.of(method)
                .apply(Map.of(Phase.DECODE, dense), each -> made)
                .values()
                .iterator()
                .next();
    }

    /** A sequence that has its whole context but the token of the step, several times over. */
    private final class Sequence implements AutoCloseable {

        private final Arena arena = new Memory().arena();
        private final List<KvCache> caches = new ArrayList<>();
        private final Map<String, Tensor> inputs = new HashMap<>();
        private final Weights weights = new Weights(new NoWeights()).overlay(artefact);
        private final List<KvPlane> planes;
        private final @Nullable KvPacking packing;

        Sequence(Graph graph, double bytes) {
            planes = KvPlane.of(graph);
            packing = PackedAttention.of(graph).orElse(null);
            SplittableRandom random = new SplittableRandom(5);
            float[] numbers = new float[PERIOD];
            for (int i = 0; i < PERIOD; i++) {
                numbers[i] = (float) random.nextGaussian();
            }
            int rows = length - 1;
            for (int copy = Rotation.copies((long) bytes); copy > 0; copy--) {
                KvCache cache = new KvCache(shape, planes, packing, Long.MAX_VALUE);
                caches.add(cache);
                int slot = cache.open();
                cache.reserve(new int[] {slot}, new int[] {rows});
                cache.advance(slot, rows);
                cache.reserve(new int[] {slot}, new int[] {1});
                fill(cache.keys(), pages(), numbers);
                fill(cache.values(), pages(), numbers);
                planes.forEach(plane -> fill(cache.plane(plane), pages(), numbers));
                cache.pack(slot);
            }
            long width = (long) shape.heads() * shape.headDim();
            inputs.put("query", normal(random, (long) queryHeads * shape.headDim()));
            inputs.put("key", normal(random, width));
            inputs.put("value", normal(random, width));
            for (String name : List.of("tokens", "sequences", "outputs")) {
                inputs.put(name, Tensor.copyOf(arena, new int[] {1}, 1));
            }
            for (String name : List.of("ids", "sequence", "slots", "outputRows")) {
                inputs.put(name, Tensor.copyOf(arena, new int[] {0}, 1));
            }
            inputs.put("positions", Tensor.copyOf(arena, new int[] {rows}, 1));
            inputs.put("indptr", Tensor.copyOf(arena, new int[] {0, 1}, 2));
        }

        private Tensor normal(SplittableRandom random, long width) {
            Tensor tensor = Tensor.allocate(arena, DType.F32, 1, width);
            for (long i = 0; i < width; i++) {
                DType.F32.setFloat(tensor.segment(), i, (float) random.nextGaussian());
            }
            return tensor;
        }

        private Map<String, Tensor> inputs(int copy) {
            KvCache cache = caches.get(copy);
            Map<String, Tensor> all = new HashMap<>(inputs);
            all.put("kv.keys", cache.keys());
            all.put("kv.values", cache.values());
            all.put("kv.table", cache.table());
            all.put("kv.lengths", cache.lengths());
            for (KvPlane plane : planes) {
                all.put(plane.inputName(), cache.plane(plane));
            }
            if (packing != null) {
                all.put(PackedFormat.INPUT, cache.packedPages());
            }
            return all;
        }

        List<GraphRunner> runners(Graph graph, Ours ours) {
            return IntStream.range(0, caches.size())
                    .mapToObj(copy -> runner(graph, ours, copy))
                    .toList();
        }

        private GraphRunner runner(Graph graph, Ours ours, int copy) {
            Map<String, Tensor> all = inputs(copy);
            return new GraphRunner(graph, weights, ours.backends(), ours.workers(), name -> {
                Tensor tensor = all.get(name);
                if (tensor == null) {
                    throw new IllegalStateException("no input " + name);
                }
                return tensor;
            });
        }

        /** Of the last layer, against the reference. */
        double error(Graph graph, float[] result) {
            try (Arena reference = Arena.ofShared()) {
                Graph last = graph.withOutputs(List.of(graph.outputs().getLast()));
                float[] expected = Interpreter.run(
                                last, inputs(0), ref -> weights.get(ref, Layout.ROW_MAJOR), reference)
                        .getFirst()
                        .toFloats();
                double greatest = 0;
                double worst = 0;
                for (int i = 0; i < expected.length; i++) {
                    greatest = Math.max(greatest, Math.abs(expected[i]));
                    double error = Math.abs((double) result[i] - expected[i]);
                    worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
                }
                return worst / (TOLERANCE * greatest);
            }
        }

        @Override
        public void close() {
            weights.close();
            caches.forEach(KvCache::close);
            arena.close();
        }
    }

    /** The first pages of a pool: a new cache hands them out in order. */
    private static void fill(Tensor pool, int pages, float[] numbers) {
        long count = pages * pool.shape().rowElements();
        DType type = pool.dtype();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(type.bytes(PERIOD));
            for (int i = 0; i < PERIOD; i++) {
                type.setFloat(block, i, numbers[i]);
            }
            for (long at = 0; at < count; at += PERIOD) {
                long some = Math.min(PERIOD, count - at);
                MemorySegment.copy(block, 0, pool.segment(), type.bytes(at), type.bytes(some));
            }
        }
    }
}
