package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Task.AttentionTask;
import ai.winnow.contract.AttentionCases;
import ai.winnow.contract.KvStep;
import ai.winnow.contract.OpCase;
import ai.winnow.contract.PreparedCase;
import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Attention of the last {@code rows} tokens over a paged context.
 *
 * @param context rows that the cache holds, those of the step included
 */
record AttentionProblem(Label label, int rows, int context, OpCase declared, Work work) implements Problem {

    /** One token over its context: every key and value is read once. */
    static AttentionProblem decode(int queryHeads, int keyValueHeads, int headDim, int context, DType type) {
        KvShape head = new KvShape(1, keyValueHeads, headDim, 1, context, type);
        double bytes = 2.0 * type.bytes((long) context * keyValueHeads * head.rowElements());
        Label label = Label.of("decode-attention", type, context + "x" + headDim)
                .with("context", context)
                .with("queryHeads", queryHeads)
                .with("keyValueHeads", keyValueHeads);
        return new AttentionProblem(
                label,
                1,
                context,
                declared(Phase.DECODE, context - 1, 1, queryHeads, keyValueHeads, headDim, type),
                Work.read(bytes));
    }

    /** A prompt over itself: half of the square, for the scores and for the sums. */
    static AttentionProblem prefill(int queryHeads, int keyValueHeads, int headDim, int tokens, DType type) {
        double operations = 2.0 * queryHeads * headDim * tokens * (tokens + 1.0);
        Label label = Label.of("prefill-attention", type, tokens + "x" + headDim)
                .with("queryHeads", queryHeads)
                .with("keyValueHeads", keyValueHeads);
        return new AttentionProblem(
                label,
                tokens,
                tokens,
                declared(Phase.PREFILL, 0, tokens, queryHeads, keyValueHeads, headDim, type),
                Work.multiplyAdd(operations));
    }

    private static OpCase declared(
            Phase phase, int cached, int added, int queryHeads, int keyValueHeads, int headDim, DType type) {
        KvShape head = new KvShape(1, keyValueHeads, headDim, 1, 1, type);
        return AttentionCases.attention(phase, KvStep.of(head, List.of(cached), List.of(added)), queryHeads, 0);
    }

    @Override
    public Entry open(Ours ours) {
        Ours.Prepared prepared = ours.open(declared, 1);
        PreparedCase first = prepared.first();
        Attention op = (Attention) declared.op();
        Arena arena = prepared.arena();
        float[] expected = declared.reference(first.meant(), arena).getFirst().toFloats();
        double[] bounds = declared.tolerance().bounds(declared, first.meant(), expected);
        AttentionTask task = new AttentionTask(
                rows,
                op.queryHeads(),
                op.shape().heads(),
                op.shape().headDim(),
                context,
                op.scale(),
                first.meant().getFirst(),
                gathered(first.meant(), 4, arena),
                gathered(first.meant(), 5, arena),
                expected,
                bounds);
        return Entry.dense(prepared.subject(), work, y -> OpProblem.error(y, expected, bounds, 1), task);
    }

    /** The pages of operand {@code index}, keys or values, as {@code F32 [heads, context, headDim]}. */
    private Tensor gathered(List<Tensor> operands, int index, Arena arena) {
        Attention op = (Attention) declared.op();
        KvShape shape = op.shape();
        int slot = operands.get(3).segment().get(ValueLayout.JAVA_INT, 0);
        MemorySegment table = operands.get(6).segment();
        Tensor pool = operands.get(index);
        Tensor result = Tensor.allocate(arena, DType.F32, shape.heads(), context, shape.headDim());
        long to = 0;
        for (int head = 0; head < shape.heads(); head++) {
            for (int row = 0; row < context; row++) {
                long entry = shape.tableIndex(slot, op.layer(), head) + row / KvShape.PAGE_ROWS;
                int page = table.getAtIndex(ValueLayout.JAVA_INT, entry);
                for (int d = 0; d < shape.headDim(); d++) {
                    float number = shape.get(pool.segment(), page, row % KvShape.PAGE_ROWS, d);
                    DType.F32.setFloat(result.segment(), to++, number);
                }
            }
        }
        return result;
    }
}
