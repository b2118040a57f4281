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
    private static final List<DType> CACHE_TYPES = List.of(DType.F32, DType.BF16);
    private static final int KV_HEADS = 2;

    private AttentionCases() {}

    /** @param step the cache already holds the rows that it adds */
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
        KvShape shape = step.shape();
        KvAppend op = new KvAppend(shape, step.layer());
        List<Given> operands = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            operands.add(
                    new Given(step.rowsOf((long) shape.heads() * shape.headDim()), Kind.ACTIVATION, Fill.normal(1)));
        }
        operands.addAll(step.operands(false));
        return new OpCase(name(op.name(), phase, step), op, phase, operands, step.extents(), new Tolerance.Exact());
    }

    private static String name(String op, Phase phase, KvStep step) {
        return op + " " + phase + " cached " + step.cached() + " + " + step.added()
                + (step.fewerPerHead() > 0 ? ", " + step.fewerPerHead() + " fewer per head" : "");
    }

    /** Contexts before, at and behind the border of a page, a row of each. */
    private static KvStep decode(int heads, int headDim, DType type) {
        return KvStep.of(head(heads, headDim, type), List.of(0, 63, 64, 130), List.of(1, 1, 1, 1));
    }

    /** The same with several rows of each; some cross a border. */
    private static KvStep prefill(int heads, int headDim, DType type) {
        return KvStep.of(head(heads, headDim, type), List.of(0, 62, 3), List.of(33, 5, 1));
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
        }
        return cases;
    }
}
