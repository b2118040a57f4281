package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.Attention;
import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.tensor.DType;
import java.util.ArrayList;
import java.util.List;

/** Writing to the paged cache and attending over it. */
public final class AttentionCases {

    private static final List<Integer> HEAD_DIMS = List.of(8, 16, 20, 64, 96, 128);
    private static final List<DType> CACHE_TYPES = List.of(DType.F32, DType.BF16, DType.I8);
    private static final int KV_HEADS = 2;

    /** What a row's numbers are taken from. */
    private static final List<float[]> EXTREMES = List.of(
            new float[] {0, -0f},
            new float[] {0, Float.MIN_VALUE, -60 * Float.MIN_VALUE}, // the scale is 0
            new float[] {190 * Float.MIN_VALUE, -190 * Float.MIN_VALUE, Float.MIN_VALUE}, // quotients of 190
            new float[] {Float.MAX_VALUE, -Float.MAX_VALUE, Float.MAX_VALUE / 2, 1},
            new float[] {127, 0.5f, 1.5f, -0.5f, -1.5f, 125.5f, -126.5f, 63},
            new float[] {-127, 1, 0.49999997f},
            new float[] {1, Float.NaN},
            new float[] {1, Float.POSITIVE_INFINITY},
            new float[] {Float.NEGATIVE_INFINITY, 0});

    private AttentionCases() {}

    /**
     * The reference reads the numbers that the cache holds, so that of them, in whatever type, no error comes: what is allowed is
     * for sums of headDim products.
     *
     * @param step the cache already holds the rows that it adds */
    public static OpCase attention(Phase phase, KvStep step, int queryHeads, int window) {
        KvShape shape = step.shape();
        float scale = (float) (1 / Math.sqrt(shape.headDim()));
        Attention op = new Attention(shape, step.layer(), queryHeads, scale, window);
        List<Given> operands = new ArrayList<>();
        operands.add(new Given(step.rowsOf((long) queryHeads * shape.headDim()), Kind.ACTIVATION, Fill.normal(1)));
        operands.addAll(step.operands(true));
        return new OpCase(
                name(op.name(), phase, step),
                op,
                phase,
                operands,
                step.extents(),
                new Tolerance.OfGreatest(16 + shape.headDim()));
    }

    public static OpCase append(Phase phase, KvStep step) {
        return append(phase, step, "", Fill.normal(1));
    }

    /** Rows of zeros, of the smallest and the greatest numbers, of what lies half between elements, and of what has no scale. */
    private static OpCase appendExtremes(KvShape head) {
        KvStep step = KvStep.of(head, List.of(60), List.of(EXTREMES.size()));
        return append(Phase.PREFILL, step, ", extremes", (tensor, random) -> {
            int width = Math.toIntExact(tensor.shape().rowElements());
            for (int i = 0; i < width * EXTREMES.size(); i++) {
                float[] row = EXTREMES.get(i / width);
                tensor.dtype().setFloat(tensor.segment(), i, row[random.nextInt(row.length)]);
            }
        });
    }

    private static OpCase append(Phase phase, KvStep step, String what, Fill rows) {
        KvShape shape = step.shape();
        KvAppend op = new KvAppend(shape, step.layer());
        List<Given> operands = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            operands.add(new Given(step.rowsOf((long) shape.heads() * shape.headDim()), Kind.ACTIVATION, rows));
        }
        operands.addAll(step.operands(false));
        return new OpCase(
                name(op.name(), phase, step) + what, op, phase, operands, step.extents(), new Tolerance.Exact());
    }

    private static String name(String op, Phase phase, KvStep step) {
        return op + " " + phase + " cached " + step.cached() + " + " + step.added()
                + (step.fewerPerHead() > 0 ? ", " + step.fewerPerHead() + " fewer per head" : "");
    }

    /** Contexts before, at and behind the border of a page, a row of each. */
    private static KvStep decode(int heads, int headDim, DType type) {
        return decode(head(heads, headDim, type));
    }

    private static KvStep decode(KvShape shape) {
        return KvStep.of(shape, List.of(0, 63, 64, 130), List.of(1, 1, 1, 1));
    }

    /** The same with several rows of each; some cross a border. */
    private static KvStep prefill(int heads, int headDim, DType type) {
        return prefill(head(heads, headDim, type));
    }

    private static KvStep prefill(KvShape shape) {
        return KvStep.of(shape, List.of(0, 62, 3), List.of(33, 5, 1));
    }

    private static KvShape head(int heads, int headDim, DType type) {
        return new KvShape(1, heads, headDim, 1, 1, type);
    }

    public static List<OpCase> all() {
        List<OpCase> cases = new ArrayList<>();
        for (DType type : CACHE_TYPES) {
            for (int headDim : HEAD_DIMS) {
                for (int group : List.of(1, 2, 4)) {
                    int queries = KV_HEADS * group;
                    cases.add(attention(Phase.DECODE, decode(KV_HEADS, headDim, type), queries, 0));
                    cases.add(attention(Phase.PREFILL, prefill(KV_HEADS, headDim, type), queries, 0));
                }
                cases.add(append(Phase.DECODE, decode(KV_HEADS, headDim, type)));
                cases.add(append(Phase.PREFILL, prefill(KV_HEADS, headDim, type).withFewerPerHead(2)));
            }
            for (int window : List.of(1, 33, 64, 100)) {
                cases.add(attention(Phase.DECODE, decode(1, 64, type), 3, window));
                cases.add(attention(Phase.PREFILL, prefill(1, 64, type), 3, window));
            }
            cases.add(attention(Phase.DECODE, decode(3, 64, type).withFewerPerHead(7), 6, 0));
            cases.add(attention(Phase.PREFILL, prefill(3, 64, type).withFewerPerHead(2), 6, 20));
            KvStep first = KvStep.of(head(1, 64, type), List.of(0), List.of(1));
            cases.add(attention(Phase.DECODE, first, 1, 0));
            cases.add(append(Phase.DECODE, first));
            cases.add(appendExtremes(head(2, 20, type)));
            cases.addAll(largeGroups(type));
            cases.addAll(longContexts(type));
            cases.addAll(manyRows(type));
        }
        return cases;
    }

    /** Groups that are no power of two, that leave one or three after fours, and whose heads are odd in number and many. */
    private static List<OpCase> largeGroups(DType type) {
        List<OpCase> cases = new ArrayList<>();
        for (KvShape shape : List.of(head(3, 96, type), head(1, 128, type))) {
            cases.add(attention(Phase.DECODE, decode(shape), 5 * shape.heads(), 0));
            cases.add(attention(Phase.PREFILL, prefill(shape), 5 * shape.heads(), 0));
        }
        for (int group : List.of(7, 8)) {
            for (KvShape shape : List.of(head(1, 80, type), head(3, 64, type))) {
                cases.add(attention(Phase.DECODE, decode(shape), group * shape.heads(), 0));
                cases.add(attention(Phase.PREFILL, prefill(shape), group * shape.heads(), 0));
            }
        }
        cases.add(attention(Phase.DECODE, decode(head(1, 8, type)), 33, 0));
        cases.add(attention(Phase.PREFILL, prefill(head(1, 8, type)), 33, 0));
        for (int window : List.of(33, 100)) {
            cases.add(attention(Phase.DECODE, decode(head(1, 64, type)), 5, window));
            cases.add(attention(Phase.PREFILL, prefill(head(1, 64, type)), 5, window));
        }
        return cases;
    }

    /** Contexts around multiples of 1024 and far beyond them: a kernel may cut them, and its pieces may be empty, one row, or whole. */
    private static List<OpCase> longContexts(DType type) {
        KvStep decode =
                KvStep.of(head(2, 32, type), List.of(1022, 1023, 1024, 2047, 2500, 5), List.of(1, 1, 1, 1, 1, 1));
        KvStep windows = KvStep.of(head(2, 32, type), List.of(1022, 1024, 1060, 1123, 2100), List.of(1, 1, 1, 1, 1));
        KvStep prefill = KvStep.of(head(1, 32, type), List.of(1100, 0, 2050, 1023), List.of(3, 2, 1, 2));
        return List.of(
                attention(Phase.DECODE, decode, 10, 0),
                attention(Phase.DECODE, decode.withFewerPerHead(1000), 4, 0),
                attention(Phase.DECODE, KvStep.of(head(1, 20, type), List.of(1100, 70), List.of(1, 1)), 2, 0),
                attention(Phase.DECODE, windows, 10, 100),
                attention(Phase.DECODE, windows, 2, 1050),
                attention(Phase.PREFILL, prefill, 5, 0),
                attention(Phase.PREFILL, prefill, 1, 1050));
    }

    /** Sequences of unequal length, new ones beside others that continue, with more rows than a kernel computes at once; and none at all. */
    private static List<OpCase> manyRows(DType type) {
        KvStep some = KvStep.of(head(1, 32, type), List.of(0, 100, 40, 64), List.of(150, 70, 1, 65));
        KvStep uneven =
                KvStep.of(head(3, 64, type), List.of(70, 0), List.of(20, 140)).withFewerPerHead(5);
        KvStep one = KvStep.of(head(1, 32, type), List.of(70), List.of(530));
        KvStep empty = KvStep.of(head(1, 32, type), List.of(10, 64, 3, 70), List.of(2, 0, 1, 0));
        return List.of(
                attention(Phase.PREFILL, some, 8, 0),
                attention(Phase.PREFILL, some, 5, 50),
                attention(Phase.PREFILL, uneven, 12, 0),
                attention(Phase.PREFILL, uneven, 12, 90),
                attention(Phase.PREFILL, one, 1, 0),
                attention(Phase.PREFILL, one, 1, 70),
                attention(Phase.PREFILL, empty, 2, 0));
    }
}
