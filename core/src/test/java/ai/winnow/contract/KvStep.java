package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StandardInputs;
import ai.winnow.ir.StepLimits;
import ai.winnow.ir.Value;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * One step of several sequences over a paged cache: sequence {@code s} has {@code cached[s]} rows and adds {@code added[s]}. Head
 * {@code h} has {@code h * fewerPerHead} rows less, as when heads drop what they do not need. Sequences lie in the slots from the
 * last to the first, pages in the pool in random order; rows of the pool that hold nothing are NaN, pages that are not assigned
 * are page -1.
 */
public record KvStep(KvShape shape, int layer, List<Integer> cached, List<Integer> added, int fewerPerHead) {

    private static final long PAGES_SEED = 5;

    /** A step over a cache that is just large enough and has one layer and one slot more than it needs. */
    public static KvStep of(KvShape head, List<Integer> cached, List<Integer> added) {
        int longest = IntStream.range(0, added.size())
                .map(s -> cached.get(s) + added.get(s))
                .max()
                .orElse(1);
        KvShape shape = new KvShape(2, head.heads(), head.headDim(), added.size() + 1, longest + 1, head.dtype());
        return new KvStep(shape, 1, cached, added, 0);
    }

    public KvStep withFewerPerHead(int fewer) {
        return new KvStep(shape, layer, cached, added, fewer);
    }

    public int rows() {
        return added.stream().mapToInt(Integer::intValue).sum();
    }

    public int sequences() {
        return added.size();
    }

    /** Rows and sequences of the step and pages of the pool, by the names of their extents. */
    public Map<String, Integer> extents() {
        return Map.of(
                StandardInputs.TOKENS,
                rows(),
                StandardInputs.SEQUENCES,
                sequences(),
                StandardInputs.Kv.POOL,
                Arrays.stream(assigned()).sum());
    }

    /** The row axis of this step's activations, two rows longer than there are now. */
    public TensorSpec rowsOf(long width) {
        TensorSpec positions =
                declare(new GraphBuilder(Phase.PREFILL)).positions().spec();
        return TensorSpec.rows(DType.F32, positions.shape().rowDim(), width);
    }

    /**
     * The operands that come after the activations: sequence, indptr, slots, keys, values, table, lengths.
     *
     * @param appended whether the cache holds the rows that this step adds
     */
    public List<Given> operands(boolean appended) {
        GraphBuilder builder = new GraphBuilder(Phase.PREFILL);
        StandardInputs inputs = declare(builder);
        StandardInputs.Kv kv = StandardInputs.Kv.declare(builder, shape);
        Fill pool = (tensor, random) -> fillPool(tensor, random, appended);
        return List.of(
                given(inputs.sequence(), Fill.listed(sequenceOfRows())),
                given(inputs.indptr(), Fill.listed(starts())),
                given(
                        inputs.slots(),
                        Fill.listed(
                                IntStream.range(0, sequences()).map(this::slot).toArray())),
                new Given(kv.keys().spec(), Kind.STATE, pool),
                new Given(kv.values().spec(), Kind.STATE, pool),
                given(kv.table(), Fill.listed(table())),
                given(kv.lengths(), Fill.listed(lengths())));
    }

    private static Given given(Value value, Fill fill) {
        return new Given(value.spec(), Kind.ACTIVATION, fill);
    }

    private StandardInputs declare(GraphBuilder builder) {
        StepLimits limits =
                new StepLimits(rows() + 2, shape.slots(), shape.slots(), shape.contextLength(), shape.dtype());
        return StandardInputs.declare(builder, limits);
    }

    private int slot(int sequence) {
        return shape.slots() - 1 - sequence;
    }

    private int[] sequenceOfRows() {
        return IntStream.range(0, sequences())
                .flatMap(s -> IntStream.range(0, added.get(s)).map(row -> s))
                .toArray();
    }

    int[] starts() {
        int[] starts = new int[shape.slots() + 1];
        for (int s = 0; s < shape.slots(); s++) {
            starts[s + 1] = starts[s] + (s < sequences() ? added.get(s) : 0);
        }
        return starts;
    }

    /** Rows cached of each head of each sequence; all layers have the same. */
    private int[] lengths() {
        int[] lengths = new int[shape.slots() * shape.layers() * shape.heads()];
        forEachHead((sequence, head, index) -> lengths[index] = cachedOf(sequence, head));
        return lengths;
    }

    /** Rows cached of a head of a sequence. */
    int cachedOf(int sequence, int head) {
        return Math.max(0, cached.get(sequence) - head * fewerPerHead);
    }

    /** Pages of each head of each sequence. */
    private int[] assigned() {
        int[] pages = lengths();
        forEachHead((sequence, head, index) ->
                pages[index] = (pages[index] + added.get(sequence) + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS);
        return pages;
    }

    private int[] table() {
        int[] assigned = assigned();
        int[] pages = IntStream.range(0, Arrays.stream(assigned).sum()).toArray();
        SplittableRandom random = new SplittableRandom(PAGES_SEED);
        for (int i = pages.length - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            int swapped = pages[i];
            pages[i] = pages[j];
            pages[j] = swapped;
        }
        int[] table = new int[assigned.length * shape.pagesPerHead()];
        Arrays.fill(table, -1);
        int next = 0;
        for (int index = 0; index < assigned.length; index++) {
            for (int page = 0; page < assigned[index]; page++) {
                table[index * shape.pagesPerHead() + page] = pages[next++];
            }
        }
        return table;
    }

    private void fillPool(Tensor pool, SplittableRandom random, boolean appended) {
        pool.segment().fill((byte) 0xFF); // NaN in each type; with I8, as the scale
        float[] numbers = new float[shape.headDim()];
        int[] table = table();
        int[] lengths = lengths();
        forEachHead((sequence, head, index) -> {
            int held = lengths[index] + (appended ? added.get(sequence) : 0);
            for (int row = 0; row < held; row++) {
                int page = table[index * shape.pagesPerHead() + row / KvShape.PAGE_ROWS];
                for (int d = 0; d < numbers.length; d++) {
                    numbers[d] = (float) random.nextGaussian();
                }
                shape.put(pool.segment(), page, row % KvShape.PAGE_ROWS, MemorySegment.ofArray(numbers), 0);
            }
        });
    }

    private interface HeadVisitor {
        void visit(int sequence, int head, int index);
    }

    private void forEachHead(HeadVisitor visitor) {
        for (int sequence = 0; sequence < sequences(); sequence++) {
            for (int l = 0; l < shape.layers(); l++) {
                for (int head = 0; head < shape.heads(); head++) {
                    visitor.visit(sequence, head, shape.headIndex(slot(sequence), l, head));
                }
            }
        }
    }
}
