package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KeyMeans;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvPlaneAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.SelectChannels;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What is kept beside cached keys, and choosing keys by it. */
public final class PlaneCases {

    private static final List<DType> PLANE_TYPES = List.of(DType.F32, DType.BF16);

    private PlaneCases() {}

    static List<OpCase> all() {
        List<OpCase> cases = new ArrayList<>();
        for (int rows : List.of(1, 3)) {
            cases.add(channels(rows, 4, 2, 64, 8));
            cases.add(channels(rows, 3, 3, 20, 5));
        }
        KvShape head = new KvShape(1, 2, 20, 1, 1, DType.F32);
        KvStep decode = KvStep.of(head, List.of(0, 63, 64, 700), List.of(1, 1, 1, 1));
        KvStep prefill =
                KvStep.of(head, List.of(0, 300, 3), List.of(70, 130, 1)).withFewerPerHead(3);
        for (DType type : PLANE_TYPES) {
            cases.add(append(Phase.DECODE, decode, new KvPlane("p", type, 7, 1)));
            cases.add(append(Phase.PREFILL, prefill, new KvPlane("p", type, 8, 1)));
            for (int unit : List.of(16, 32, 64)) {
                for (DType cached : List.of(DType.F32, DType.BF16, DType.I8)) {
                    KvStep of = typed(unit == 16 ? decode : prefill, cached);
                    cases.add(means(of, new KvPlane("p", type, 20, unit)));
                }
            }
            for (ScoreKeys.Reduction reduction : ScoreKeys.Reduction.values()) {
                for (int unit : List.of(1, 16, 32, 64)) {
                    for (int width : List.of(5, 8, 64)) {
                        KvPlane plane = new KvPlane("p", type, width, unit);
                        cases.add(score(Phase.DECODE, decode, plane, 2, 1, 2, reduction));
                        cases.add(score(Phase.DECODE, decode, plane, 2, 1, 8, reduction));
                        cases.add(score(Phase.DECODE, decode, plane, 10, 1, 10, reduction));
                    }
                    KvPlane plane = new KvPlane("p", type, 12, unit);
                    cases.add(score(Phase.PREFILL, prefill, plane, 2, 64, 12, reduction));
                    cases.add(score(Phase.PREFILL, prefill, plane, 4, 16, 4, reduction));
                    cases.add(score(Phase.PREFILL, prefill, plane, 2, 1, 4, reduction));
                    cases.add(score(Phase.DECODE, decode, plane, 2, 1, 4, reduction, 64));
                }
            }
        }
        return cases;
    }

    private static KvStep typed(KvStep step, DType type) {
        KvShape s = step.shape();
        KvShape shape = new KvShape(s.layers(), s.heads(), s.headDim(), s.slots(), s.contextLength(), type);
        return new KvStep(shape, step.layer(), step.cached(), step.added(), step.fewerPerHead());
    }

    /** Some channels of each head. */
    public static OpCase channels(int rows, int heads, int groups, int headDim, int width) {
        SelectChannels op = new SelectChannels(heads, headDim, groups, width);
        return new OpCase(
                op.name() + " of " + heads + "/" + groups + " heads, " + rows + " rows",
                op,
                Phase.DECODE,
                List.of(
                        OpCases.given(rows, heads * headDim, Fill.normal(1)),
                        new Given(TensorSpec.of(DType.I32, groups, width + 3), Kind.ACTIVATION, Fill.below(headDim))),
                Map.of("tokens", rows),
                new Tolerance.Exact());
    }

    /** Numbers of this step's keys into a plane that holds nothing yet. */
    public static OpCase append(Phase phase, KvStep step, KvPlane plane) {
        KvPlaneAppend op = new KvPlaneAppend(step.shape(), step.layer(), plane);
        List<Given> operands = new ArrayList<>();
        operands.add(
                new Given(step.rowsOf((long) step.shape().heads() * plane.width()), Kind.ACTIVATION, Fill.normal(1)));
        operands.addAll(beside(step, plane, nothing()));
        String name = op.name() + " " + plane.dtype() + " x " + plane.width() + " " + phase;
        return new OpCase(name, op, phase, operands, step.extents(), new Tolerance.Exact());
    }

    /** Means of the units that this step's keys belong to. */
    public static OpCase means(KvStep step, KvPlane plane) {
        KeyMeans op = new KeyMeans(step.shape(), step.layer(), plane);
        List<Given> operands = new ArrayList<>(beside(step, plane, nothing()));
        operands.add(step.operands(true).get(3));
        String name = op.name() + " " + plane.dtype() + " of " + step.shape().dtype() + ", cached " + step.cached()
                + " + " + step.added();
        return new OpCase(name, op, Phase.PREFILL, operands, step.extents(), new Tolerance.Exact());
    }

    /** Scores of the units of a plane. */
    public static OpCase score(
            Phase phase,
            KvStep step,
            KvPlane plane,
            int lists,
            int tileRows,
            int queryHeads,
            ScoreKeys.Reduction reduction) {
        return score(phase, step, plane, lists, tileRows, queryHeads, reduction, 0);
    }

    private static OpCase score(
            Phase phase,
            KvStep step,
            KvPlane plane,
            int lists,
            int tileRows,
            int queryHeads,
            ScoreKeys.Reduction reduction,
            int denseUpTo) {
        KeyLists keys = KeyLists.of(step.shape(), lists, tileRows);
        float scale = (float) (1 / Math.sqrt(plane.width()));
        ScoreKeys op = new ScoreKeys(keys, step.layer(), plane, queryHeads, scale, reduction, denseUpTo);
        List<Given> cache = step.operands(true);
        List<Given> operands = new ArrayList<>();
        TensorSpec queries = TensorSpec.rows(
                DType.F32, keys.tileDim(cache.get(0).spec(), cache.get(1).spec()), (long) queryHeads * plane.width());
        operands.add(new Given(queries, Kind.ACTIVATION, Fill.normal(1)));
        operands.addAll(beside(step, plane, Fill.normal(1)));
        return new OpCase(
                op.name() + " " + plane.dtype() + " x " + plane.width() + " " + phase + ", " + queryHeads + " heads, "
                        + lists + " lists a tile of " + tileRows,
                op,
                phase,
                operands,
                step.extents(),
                new Tolerance.OfGreatest(64 + plane.width()),
                (results, arena) -> List.of(meant(op, step, results.getFirst(), arena)));
    }

    private static Fill nothing() {
        return (tensor, random) -> tensor.segment().fill((byte) 0xFF); // NaN
    }

    /** Sequence, indptr, slots, the plane, table, lengths. */
    private static List<Given> beside(KvStep step, KvPlane plane, Fill fill) {
        List<Given> cache = step.operands(true);
        Given pool = new Given(plane.spec(), Kind.STATE, fill);
        return List.of(cache.get(0), cache.get(1), cache.get(2), pool, cache.get(5), cache.get(6));
    }

    /** The scores of units that may be chosen by them; negative infinity, which must be where it is, is read as a number. */
    private static Tensor meant(ScoreKeys op, KvStep step, Tensor scores, Arena arena) {
        List<Float> meant = new ArrayList<>();
        MemorySegment indptr =
                Tensor.copyOf(arena, step.starts(), step.starts().length).segment();
        op.keys().forEachTile(indptr, step.rows(), (tile, sequence, from, to) -> {
            for (int list = 0; list < op.keys().lists(); list++) {
                int end = step.cachedOf(sequence, op.keys().head(list)) + to - step.starts()[sequence];
                int units = (end + op.plane().unit() - 1) / op.plane().unit();
                for (int unit = 0; unit < units && end > op.denseUpTo(); unit++) {
                    long at = ((long) tile * op.keys().lists() + list) * op.unitsPerHead() + unit;
                    float score = scores.getFloat(at);
                    meant.add(score == Float.NEGATIVE_INFINITY ? 4 : score);
                }
            }
        });
        float[] all = new float[meant.size()];
        for (int i = 0; i < all.length; i++) {
            all[i] = meant.get(i);
        }
        return Tensor.copyOf(arena, all, all.length);
    }
}
