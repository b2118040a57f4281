package ai.winnow.contract;

import ai.winnow.architecture.ModelDefinition;
import ai.winnow.ir.Graph;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvRetain;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.PackedFormat;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StandardInputs;
import ai.winnow.ir.StepLimits;
import ai.winnow.ir.WeightRef;
import ai.winnow.reference.Interpreter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/**
 * A decoder run step by step by the reference {@link Interpreter}, with a paged cache whose pages lie in descending order, so
 * that a graph that does not look at the page table is found out.
 */
public final class InterpretedModel {

    /** The rows of one sequence in a step. */
    public record Rows(int slot, int... ids) {}

    private final Map<String, Tensor> checkpoint;
    private final Arena arena;
    private final StepLimits limits;
    private final KvShape shape;
    private final Map<Phase, Graph> graphs = new EnumMap<>(Phase.class);
    private final Map<WeightRef, Tensor> weights = new HashMap<>();
    private final Map<String, Tensor> cache = new HashMap<>();
    private final MemorySegment lengths;
    private final int[] positions;

    /**
     * @param checkpoint the tensors of the checkpoint by name
     * @param rewrite what is done to each graph before it is run
     */
    public InterpretedModel(
            ModelDefinition definition,
            Map<String, Tensor> checkpoint,
            Arena arena,
            StepLimits limits,
            UnaryOperator<Graph> rewrite) {
        this.checkpoint = checkpoint;
        this.arena = arena;
        this.limits = limits;
        this.shape = definition.kvShape(limits);
        for (Phase phase : definition.phases()) {
            graphs.put(phase, rewrite.apply(definition.graph(phase, limits)));
        }
        int heads = shape.slots() * shape.layers() * shape.heads();
        int pages = heads * shape.pagesPerHead();
        for (Graph graph : graphs.values()) {
            for (KvPlane plane : KvPlane.of(graph)) {
                cache.computeIfAbsent(
                        plane.inputName(),
                        name -> Tensor.allocate(arena, plane.dtype(), pages, plane.width(), plane.units()));
            }
        }
        for (Graph graph : graphs.values()) {
            PackedAttention.of(graph)
                    .map(packing -> new PackedFormat(shape, packing))
                    .ifPresent(format -> cache.put(
                            PackedFormat.INPUT, Tensor.allocate(arena, DType.I8, 1, format.bytes()))); // none is packed
        }
        int[] table = IntStream.range(0, pages).map(page -> pages - 1 - page).toArray();
        cache.put("kv.keys", Tensor.allocate(arena, shape.dtype(), pages, KvShape.PAGE_ROWS, shape.rowElements()));
        cache.put("kv.values", Tensor.allocate(arena, shape.dtype(), pages, KvShape.PAGE_ROWS, shape.rowElements()));
        cache.put(
                "kv.table",
                Tensor.copyOf(arena, table, shape.slots(), shape.layers(), shape.heads(), shape.pagesPerHead()));
        Tensor counts = Tensor.allocate(arena, DType.I32, shape.slots(), shape.layers(), shape.heads());
        cache.put("kv.lengths", counts);
        lengths = counts.segment();
        positions = new int[shape.slots()];
        cache.put(StandardInputs.Kv.SETTLED, Tensor.allocate(arena, counts.spec(), Layout.ROW_MAJOR));
        cache.put(KvRetain.inputName(), Tensor.allocate(arena, KvRetain.marks(shape), Layout.ROW_MAJOR));
    }

    /** Runs a step and returns the logits of every row, {@code [rows][vocabulary]}. */
    public float[][] step(Phase phase, Rows... batch) {
        int rows =
                Arrays.stream(batch).mapToInt(sequence -> sequence.ids.length).sum();
        return run(phase, IntStream.range(0, rows).toArray(), batch).getFirst();
    }

    /** Runs a step and returns what the graph puts out, {@code [outputs][...]} each, for the rows asked for. */
    public List<float[][]> run(Phase phase, int[] outputRows, Rows... batch) {
        try (Arena step = Arena.ofConfined()) {
            Graph graph = graphs.get(phase);
            if (graph == null) {
                throw new IllegalArgumentException("the model has no graph for " + phase);
            }
            List<Tensor> results = Interpreter.run(graph, inputs(step, outputRows, batch), this::weight, step);
            for (Rows sequence : batch) {
                positions[sequence.slot] += sequence.ids.length;
                for (int layer = 0; layer < shape.layers(); layer++) {
                    for (int head = 0; head < shape.heads(); head++) {
                        int at = shape.headIndex(sequence.slot, layer, head);
                        int length = lengths.getAtIndex(ValueLayout.JAVA_INT, at) + sequence.ids.length;
                        lengths.setAtIndex(ValueLayout.JAVA_INT, at, length);
                    }
                }
            }
            return results.stream().map(InterpretedModel::toRows).toList();
        }
    }

    private Map<String, Tensor> inputs(Arena step, int[] outputRows, Rows... batch) {
        int rows =
                Arrays.stream(batch).mapToInt(sequence -> sequence.ids.length).sum();
        int[] ids = new int[rows];
        int[] at = new int[rows];
        int[] sequence = new int[rows];
        int[] indptr = new int[limits.maxSequences() + 1];
        int row = 0;
        for (int s = 0; s < batch.length; s++) {
            for (int i = 0; i < batch[s].ids.length; i++, row++) {
                ids[row] = batch[s].ids[i];
                at[row] = positions[batch[s].slot] + i;
                sequence[row] = s;
            }
            Arrays.fill(indptr, s + 1, indptr.length, row);
        }
        int[] slots = Arrays.stream(batch).mapToInt(Rows::slot).toArray();
        Map<String, Tensor> inputs = new HashMap<>(cache);
        inputs.put("tokens", ints(step, rows));
        inputs.put("sequences", ints(step, batch.length));
        inputs.put("outputs", ints(step, outputRows.length));
        inputs.put("ids", ints(step, ids));
        inputs.put("positions", ints(step, at));
        inputs.put("sequence", ints(step, sequence));
        inputs.put("indptr", ints(step, indptr));
        inputs.put("slots", ints(step, slots));
        inputs.put("outputRows", ints(step, outputRows));
        return inputs;
    }

    /** Drops what the last step of {@code phase} did not mark, as a session does when a text has been read; not beside planes. */
    public void drop(Phase phase, int slot) {
        Graph graph = graphs.get(phase);
        if (graph == null) {
            throw new IllegalArgumentException("the model has no graph for " + phase);
        }
        for (KvRetain retain : KvRetain.of(graph)) {
            for (int head = 0; head < shape.heads(); head++) {
                drop(slot, retain, head);
            }
        }
    }

    private void drop(int slot, KvRetain retain, int head) {
        int layer = retain.layer();
        int index = shape.headIndex(slot, layer, head);
        int kept = 0;
        for (int row = 0; row < lengths.getAtIndex(ValueLayout.JAVA_INT, index); row++) {
            long page = shape.tableIndex(slot, layer, head) + row / KvShape.PAGE_ROWS;
            long mask = segment(KvRetain.inputName()).getAtIndex(ValueLayout.JAVA_LONG, page);
            if ((mask >>> row & 1) != 0) {
                copy(shape.tableIndex(slot, layer, head), row, kept++);
            }
        }
        lengths.setAtIndex(ValueLayout.JAVA_INT, index, kept);
        segment(StandardInputs.Kv.SETTLED).setAtIndex(ValueLayout.JAVA_INT, index, Math.max(0, kept - retain.recent()));
    }

    private void copy(long table, int from, int to) {
        int page = segment("kv.table").getAtIndex(ValueLayout.JAVA_INT, table + from / KvShape.PAGE_ROWS);
        int toPage = segment("kv.table").getAtIndex(ValueLayout.JAVA_INT, table + to / KvShape.PAGE_ROWS);
        for (String pool : List.of("kv.keys", "kv.values")) {
            for (int d = 0; d < shape.headDim(); d++) {
                float element = shape.dtype().getFloat(segment(pool), shape.rowAt(page, from % KvShape.PAGE_ROWS) + d);
                shape.dtype().setFloat(segment(pool), shape.rowAt(toPage, to % KvShape.PAGE_ROWS) + d, element);
            }
        }
    }

    private MemorySegment segment(String name) {
        Tensor tensor = cache.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException("the cache has no '" + name + "'");
        }
        return tensor.segment();
    }

    private Tensor weight(WeightRef ref) {
        Tensor known = weights.get(ref);
        if (known == null) {
            known = load(ref);
            weights.put(ref, known);
        }
        return known;
    }

    private Tensor load(WeightRef ref) {
        Tensor result = Tensor.allocate(arena, ref.spec(), Layout.ROW_MAJOR);
        if (ref.derivation() != null) {
            ref.derivation()
                    .compute(
                            ref.derivation().sources().stream()
                                    .map(this::weight)
                                    .toList(),
                            result);
            return result;
        }
        Tensor source = checkpoint.get(ref.name());
        if (source == null) {
            throw new IllegalStateException("the graph reads '" + ref.name() + "', which the checkpoint does not have");
        }
        for (int i = 0; i < ref.spec().shape().maxElements(); i++) {
            ref.spec().dtype().setFloat(result.segment(), i, source.getFloat(i));
        }
        return result;
    }

    private static Tensor ints(Arena arena, int... values) {
        return Tensor.copyOf(arena, values, values.length);
    }

    private static float[][] toRows(Tensor tensor) {
        float[] values = tensor.toFloats();
        int width = Math.toIntExact(tensor.shape().rowElements());
        float[][] rows = new float[values.length / width][];
        for (int row = 0; row < rows.length; row++) {
            rows[row] = Arrays.copyOfRange(values, row * width, (row + 1) * width);
        }
        return rows;
    }
}
