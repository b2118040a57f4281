package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.AttendedKeys;
import ai.winnow.ir.Attention;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.ir.ScoredAttention;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.SparseAttention;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Choosing keys, and attending over those that were chosen. */
public final class KeyListCases {

    private static final List<DType> CACHE_TYPES = List.of(DType.F32, DType.BF16, DType.I8);

    private KeyListCases() {}

    /** Which rows of its pages a list names. */
    @FunctionalInterface
    public interface Naming {
        /** The mask of the next page. */
        long mask(SplittableRandom random);
    }

    /** Lists that differ in what a kernel does with them. */
    public enum Named implements Naming {
        /** None. */
        NOTHING(0, 0),
        /** About one key of eight. */
        FEW(1, 0),
        /** About one page of three, whole. */
        PAGES(0, 1),
        /** Some pages wholly, some in part, some not. */
        MIXED(1, 1),
        /** All, in whole pages. */
        ALL(0, 3);

        private final int single;
        private final int whole;

        Named(int single, int whole) {
            this.single = single;
            this.whole = whole;
        }

        @Override
        public long mask(SplittableRandom random) {
            if (random.nextInt(3) < whole) {
                return KeyLists.WHOLE;
            }
            long mask = single > 0 && random.nextInt(3) > 0 ? random.nextLong() : 0;
            mask &= random.nextLong();
            return mask & random.nextLong();
        }
    }

    static List<OpCase> all() {
        List<OpCase> cases = new ArrayList<>();
        for (DType type : CACHE_TYPES) {
            cases.addAll(attentions(type));
            cases.addAll(scored(type));
            cases.addAll(attended(type));
        }
        cases.addAll(selections());
        return cases;
    }

    private static List<OpCase> attentions(DType type) {
        List<OpCase> cases = new ArrayList<>();
        boolean all = type == DType.F32; // the others differ in how rows lie, not in how lists are walked
        for (int headDim : all ? List.of(20, 64, 128) : List.of(20, 128)) {
            for (int group : all ? List.of(1, 4) : List.of(4)) {
                KvShape head = new KvShape(1, 2, headDim, 1, 1, type);
                KvStep decode = KvStep.of(head, List.of(0, 63, 64, 700), List.of(1, 1, 1, 1));
                KvStep prefill = KvStep.of(head, List.of(0, 300, 3), List.of(70, 9, 1));
                for (Named named : all ? List.of(Named.values()) : List.of(Named.FEW, Named.MIXED)) {
                    cases.add(attention(Phase.DECODE, decode, 2 * group, 0, 2, 1, named));
                }
                cases.add(attention(Phase.DECODE, decode.withFewerPerHead(7), 2 * group, 100, 2, 1, Named.MIXED));
                if (group > 1) {
                    cases.add(attention(Phase.DECODE, decode, 2 * group, 0, 2 * group, 1, Named.MIXED));
                }
                cases.add(attention(Phase.PREFILL, prefill, 2 * group, 0, 2, 64, Named.MIXED));
                cases.add(attention(Phase.PREFILL, prefill, 2 * group, 0, 2 * group, 16, Named.FEW));
            }
        }
        if (!all) {
            return cases;
        }
        KvShape head = new KvShape(1, 1, 64, 1, 1, type);
        KvStep rows = KvStep.of(head, List.of(200, 0, 64), List.of(150, 3, 64));
        for (int tile : List.of(1, 3, 5, 33, 64, 128)) {
            cases.add(attention(Phase.PREFILL, rows, 3, 0, 1, tile, Named.MIXED));
            cases.add(attention(Phase.PREFILL, rows, 3, 90, 3, tile, Named.MIXED));
        }
        for (Named named : Named.values()) {
            cases.add(attention(Phase.PREFILL, rows, 4, 0, 1, 64, named));
        }
        cases.add(attention(
                Phase.PREFILL, KvStep.of(head, List.of(10, 64, 3), List.of(2, 0, 1)), 2, 0, 1, 64, Named.ALL));
        return cases;
    }

    /**
     * Attention over random lists.
     *
     * @param step the cache already holds the rows that it adds
     * @param lists of a tile
     */
    public static OpCase attention(
            Phase phase, KvStep step, int queryHeads, int window, int lists, int tileRows, Naming named) {
        KvShape shape = step.shape();
        float scale = (float) (1 / Math.sqrt(shape.headDim()));
        Attention attention = new Attention(shape, step.layer(), queryHeads, scale, window);
        SparseAttention op = new SparseAttention(attention, KeyLists.of(shape, lists, tileRows));
        List<Given> cache = step.operands(true);
        List<TensorSpec> specs =
                op.keys().specs(cache.get(0).spec(), cache.get(1).spec());
        List<Given> operands = new ArrayList<>();
        operands.add(new Given(step.rowsOf((long) queryHeads * shape.headDim()), Kind.ACTIVATION, Fill.normal(1)));
        for (int i = 0; i < KeyLists.TENSORS; i++) {
            int part = i;
            operands.add(new Given(
                    specs.get(i), Kind.ACTIVATION, (tensor, random) -> fill(tensor, part, op.keys(), step, named)));
        }
        operands.addAll(cache);
        return new OpCase(
                op.name() + " " + phase + " " + lists + " lists a tile, cached " + step.cached() + " + " + step.added()
                        + ", named " + named,
                op,
                phase,
                operands,
                step.extents(),
                new Tolerance.OfGreatest(16 + shape.headDim()));
    }

    /** One of the three tensors of an index; its own seed, for all three must agree. */
    private static void fill(Tensor tensor, int part, KeyLists keys, KvStep step, Naming named) {
        tensor.segment().fill((byte) 0xFF); // no page is -1
        SplittableRandom random = new SplittableRandom(7);
        int longest = IntStream.range(0, step.sequences())
                .map(s -> step.cached().get(s) + step.added().get(s))
                .max()
                .orElse(0);
        int pages = (longest + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS;
        long all = tensor.shape().max(0);
        for (int list = 0; list < all; list++) {
            int count = 0;
            for (int page = 0; page < pages; page++) {
                long mask = named.mask(random);
                if (mask != 0) {
                    long at = (long) list * keys.pagesPerList() + count++;
                    switch (part) {
                        case 1 -> tensor.segment().setAtIndex(ValueLayout.JAVA_INT, at, page);
                        case 2 -> tensor.segment().setAtIndex(ValueLayout.JAVA_LONG, at, mask);
                        default -> {}
                    }
                }
            }
            if (part == 0) {
                tensor.segment().setAtIndex(ValueLayout.JAVA_INT, list, count);
            }
        }
    }

    private static List<OpCase> scored(DType type) {
        List<OpCase> cases = new ArrayList<>();
        for (int headDim : List.of(20, 64)) {
            KvStep decode =
                    KvStep.of(new KvShape(1, 2, headDim, 1, 1, type), List.of(0, 63, 64, 300), List.of(1, 1, 1, 1));
            cases.add(scored(decode, 2, 0, 2));
            cases.add(scored(decode, 10, 0, 2));
            cases.add(scored(decode, 4, 90, 4));
            cases.add(scored(decode, 4, 0, 2, 64));
        }
        return cases;
    }

    /** Attention that also gives scores; those behind the last key and before a window are read as zero. */
    public static OpCase scored(KvStep step, int queryHeads, int window, int lists) {
        return scored(step, queryHeads, window, lists, 0);
    }

    private static OpCase scored(KvStep step, int queryHeads, int window, int lists, int denseUpTo) {
        OpCase dense = AttentionCases.attention(Phase.DECODE, step, queryHeads, window);
        ScoredAttention op = new ScoredAttention((Attention) dense.op(), lists, denseUpTo);
        return new OpCase(
                op.name() + " " + lists + " lists a row, dense up to " + denseUpTo + ", cached " + step.cached(),
                op,
                Phase.DECODE,
                dense.operands(),
                dense.extents(),
                new Tolerance.OfGreatest(64 + step.shape().headDim()),
                (results, arena) -> List.of(seen(op, step, results.get(1), arena)));
    }

    private static Tensor seen(ScoredAttention op, KvStep step, Tensor scores, Arena arena) {
        int context = op.attention().shape().contextLength();
        float[] seen = new float[step.sequences() * op.lists() * context];
        for (int i = 0; i < seen.length; i++) {
            int end = step.cached().get(i / context / op.lists()) + 1;
            int begin = op.attention().window() > 0 ? end - op.attention().window() : 0;
            int key = i % context;
            seen[i] = begin <= key && key < end && end > op.denseUpTo() ? scores.getFloat(i) : 0;
        }
        return Tensor.copyOf(arena, seen, seen.length);
    }

    private static List<OpCase> attended(DType type) {
        List<OpCase> cases = new ArrayList<>();
        KvShape head = new KvShape(1, 2, 20, 1, 1, type);
        KvStep decode = KvStep.of(head, List.of(0, 63, 64, 300), List.of(1, 1, 1, 1));
        KvStep prefill = KvStep.of(head, List.of(0, 150, 3), List.of(70, 9, 1)).withFewerPerHead(3);
        for (AttendedKeys.Reduction reduction : AttendedKeys.Reduction.values()) {
            cases.add(attended(decode, 2, 0, 2, 1, 1, reduction, 0));
            cases.add(attended(decode, 10, 0, 2, 1, 1, reduction, 0));
            cases.add(attended(prefill, 4, 0, 2, 1000, 8, reduction, 0));
            cases.add(attended(prefill, 4, 0, 4, 1000, 100, reduction, 64));
            cases.add(attended(prefill, 12, 90, 2, 16, 3, reduction, 0));
        }
        return cases;
    }

    /** Columns of the attention map; those that are not asked for are read as zero. */
    public static OpCase attended(
            KvStep step,
            int queryHeads,
            int window,
            int lists,
            int tileRows,
            int probes,
            AttendedKeys.Reduction reduction,
            int denseUpTo) {
        OpCase dense = AttentionCases.attention(Phase.PREFILL, step, queryHeads, window);
        KeyLists keys = KeyLists.of(step.shape(), lists, tileRows);
        AttendedKeys op = new AttendedKeys((Attention) dense.op(), keys, probes, reduction, denseUpTo);
        return new OpCase(
                op.name() + " " + dense.op().name() + ", " + lists + " lists a tile of " + tileRows + ", dense up to "
                        + denseUpTo + ", cached " + step.cached(),
                op,
                Phase.PREFILL,
                dense.operands(),
                dense.extents(),
                new Tolerance.OfGreatest(64 + step.shape().headDim()),
                (results, arena) -> List.of(columns(op, step, results.getFirst(), arena)));
    }

    private static Tensor columns(AttendedKeys op, KvStep step, Tensor columns, Arena arena) {
        int context = op.keys().shape().contextLength();
        List<Float> meant = new ArrayList<>();
        MemorySegment indptr =
                Tensor.copyOf(arena, step.starts(), step.starts().length).segment();
        op.keys().forEachTile(indptr, step.rows(), (tile, sequence, from, to) -> {
            for (int list = 0; list < op.keys().lists(); list++) {
                int end = step.cachedOf(sequence, op.keys().head(list)) + to - step.starts()[sequence];
                for (int key = 0; key < end && end > op.denseUpTo(); key++) {
                    meant.add(columns.getFloat(((long) tile * op.keys().lists() + list) * context + key));
                }
            }
        });
        float[] all = new float[meant.size()];
        for (int i = 0; i < all.length; i++) {
            all[i] = meant.get(i);
        }
        return Tensor.copyOf(arena, all, all.length);
    }

    private static List<OpCase> selections() {
        List<OpCase> cases = new ArrayList<>();
        Fill smooth = Fill.normal(1);
        Fill few = Fill.oneOf(-1, -0f, 0, 0.5f, 2, Float.NaN, Float.NEGATIVE_INFINITY);
        Fill masses = Fill.uniform(0, 1);
        KvShape head = new KvShape(1, 2, 8, 1, 1, DType.F32);
        KvStep decode = KvStep.of(head, List.of(0, 63, 64, 700, 1500), List.of(1, 1, 1, 1, 1));
        KvStep prefill =
                KvStep.of(head, List.of(0, 300, 3), List.of(70, 130, 1)).withFewerPerHead(3);
        // So many keys that a sample says which are worth a look.
        KvStep many = KvStep.of(new KvShape(1, 1, 4, 1, 1, DType.F32), List.of(9000), List.of(1));
        for (int k : List.of(1, 40, 2000)) {
            cases.add(select(Phase.DECODE, many, 1, 1, 1, new KeyRule.TopK(k), 0, 0, 0, "normal", smooth));
            cases.add(select(Phase.DECODE, many, 1, 1, 1, new KeyRule.TopK(k), 0, 0, 0, "few numbers", few));
        }
        for (int unit : List.of(1, 16, 32, 64)) {
            for (String how : List.of("normal", "few numbers")) {
                Fill fill = how.equals("normal") ? smooth : few;
                for (int k : List.of(1, 17, 5000)) {
                    cases.add(select(Phase.DECODE, decode, 2, 1, unit, new KeyRule.TopK(k), 0, 0, 0, how, fill));
                }
                cases.add(select(Phase.DECODE, decode, 4, 1, unit, new KeyRule.TopK(5), 2, 3, 64, how, fill));
                cases.add(select(Phase.PREFILL, prefill, 2, 64, unit, new KeyRule.TopK(4), 1, 1, 0, how, fill));
                cases.add(select(Phase.PREFILL, prefill, 2, 16, unit, new KeyRule.TopK(2), 0, 2, 200, how, fill));
                cases.add(select(Phase.DECODE, decode, 2, 1, unit, new KeyRule.Above(0.25f), 0, 1, 0, how, fill));
                cases.add(select(Phase.PREFILL, prefill, 4, 64, unit, new KeyRule.Above(0), 0, 0, 0, how, fill));
            }
            for (float share : List.of(0.1f, 0.5f, 0.9f)) {
                KeyRule mass = new KeyRule.Mass(share);
                cases.add(select(Phase.DECODE, decode, 2, 1, unit, mass, 0, 0, 0, "masses", masses));
                cases.add(select(Phase.PREFILL, prefill, 2, 32, unit, mass, 1, 1, 0, "masses", masses));
            }
            cases.add(select(Phase.DECODE, decode, 2, 1, unit, new KeyRule.ByPlace(), 4, 2, 0, "", smooth));
            cases.add(select(Phase.PREFILL, prefill, 2, 64, unit, new KeyRule.ByPlace(), 0, 2, 0, "", smooth));
        }
        return cases;
    }

    /** Lists from scores. */
    public static OpCase select(
            Phase phase,
            KvStep step,
            int lists,
            int tileRows,
            int unit,
            KeyRule rule,
            int first,
            int recent,
            int denseUpTo,
            String how,
            Fill scores) {
        SelectKeys op =
                SelectKeys.of(step.shape(), step.layer(), lists, tileRows, unit, rule, first, recent, denseUpTo);
        List<Given> cache = step.operands(true);
        List<Given> operands = new ArrayList<>();
        if (rule.needsScores()) {
            operands.add(new Given(op.scores(cache.get(0).spec(), cache.get(1).spec()), Kind.ACTIVATION, scores));
        }
        operands.addAll(List.of(cache.get(0), cache.get(1), cache.get(2), cache.get(6)));
        return new OpCase(
                op.name() + " " + phase + " " + lists + " lists a tile of " + tileRows + ", dense up to " + denseUpTo
                        + ", cached " + step.cached() + " + " + step.added() + ", " + how,
                op,
                phase,
                operands,
                step.extents(),
                new Tolerance.Exact(),
                (results, arena) -> List.of(named(op.keys(), step, results, arena)));
    }

    /** What an index means: for each list and each row of a full head whether it is named. */
    private static Tensor named(KeyLists keys, KvStep step, List<Tensor> results, Arena arena) {
        Operands operands = Operands.of(results, List.of());
        List<Integer> numbers = new ArrayList<>();
        MemorySegment indptr =
                Tensor.copyOf(arena, step.starts(), step.starts().length).segment();
        keys.forEachTile(indptr, step.rows(), (tile, sequence, from, to) -> {
            for (int list = 0; list < keys.lists(); list++) {
                for (boolean named : keys.named(operands, 0, tile, list)) {
                    numbers.add(named ? 1 : 0);
                }
            }
        });
        int[] all = numbers.stream().mapToInt(i -> i).toArray();
        return Tensor.copyOf(arena, all, all.length);
    }
}
