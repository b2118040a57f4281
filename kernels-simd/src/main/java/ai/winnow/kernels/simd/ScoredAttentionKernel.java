package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.ScoredAttention;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.util.Objects;

/**
 * Softmax attention of single rows, and the logarithms of its probabilities: the scores of each page are kept in scratch {@code [keys, heads]}
 * and reduced when the sum of all is known. Traffic: the pages once, the scores twice.
 */
final class ScoredAttentionKernel implements Kernel, Workers.Task {

    /** Heads whose scores lie together. */
    private static final int HEADS = 4;

    private final ScoredAttention op;
    private final Attention attention;
    private final KvShape shape;
    private final RowAttention single;
    private final long bytes;

    ScoredAttentionKernel(ScoredAttention op) {
        this.op = op;
        this.attention = op.attention();
        this.shape = attention.shape();
        this.single = new RowAttention(attention, op.group(), true);
        this.bytes = single.scratchBytes();
    }

    @Override
    public String name() {
        return PageRows.type(shape.dtype()) + "ScoredAttention";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(bytes, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows > 0) {
            workspace.workers().run(this, operands, workspace, Parts.count(workspace, (long) rows * op.lists(), 1));
        }
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(bytes, part), bytes);
        int tasks = operands.inRows(0) * op.lists();
        for (int task = part; task < tasks; task += parts) {
            attend(operands, task / op.lists(), task % op.lists(), scratch);
        }
    }

    private void attend(Operands operands, int row, int list, long scratch) {
        int sequence = operands.in(1).get(INT, 4L * row);
        int first = operands.in(2).get(INT, 4L * sequence);
        int slot = operands.in(3).get(INT, 4L * sequence);
        int head = list * op.group() / attention.group();
        int end = operands.in(7).get(INT, 4L * shape.headIndex(slot, attention.layer(), head)) + row - first + 1;
        Objects.checkFromToIndex(0, (end - 1) / KvShape.PAGE_ROWS + 1, shape.pagesPerHead());
        int begin = attention.window() > 0 ? Math.max(0, end - attention.window()) : 0;
        long table = Memory.address(
                operands.in(6), 4 * shape.tableIndex(slot, attention.layer(), head), 4L * shape.pagesPerHead());
        long headBytes = 4L * op.group() * shape.headDim();
        long at = ((long) row * op.lists() + list) * headBytes;
        single.attend(
                Memory.address(operands.in(0), at, headBytes),
                Memory.address(operands.out(0), at, headBytes),
                operands.in(4),
                operands.in(5),
                table,
                begin,
                end,
                scratch);
        if (end > op.denseUpTo()) {
            reduce(
                    scratch,
                    begin,
                    end,
                    operands.outAddress(1) + 4 * ((long) row * op.lists() + list) * shape.contextLength());
        }
    }

    /** The greatest of the heads that share the list, relative to the sum of each. */
    private void reduce(long scratch, int begin, int end, long scores) {
        for (int first = 0; first < op.group(); first += HEADS) {
            int last = op.group() - 1;
            float log0 = single.logOfSum(first, scratch);
            float log1 = single.logOfSum(Math.min(first + 1, last), scratch);
            float log2 = single.logOfSum(Math.min(first + 2, last), scratch);
            float log3 = single.logOfSum(Math.min(first + 3, last), scratch);
            for (int key = begin; key < end; ) {
                int next = Math.min(end, (key / KvShape.PAGE_ROWS + 1) * KvShape.PAGE_ROWS);
                long kept = single.kept(first, key, scratch);
                long to = scores + 4L * key;
                if (op.group() == 1) {
                    ofOne(kept, next - key, log0, to);
                } else {
                    long step = 4L * Math.min(1, last - first);
                    long step2 = 4L * Math.min(2, last - first);
                    long step3 = 4L * Math.min(3, last - first);
                    ofFour(kept, step, step2, step3, next - key, log0, log1, log2, log3, first > 0, to);
                }
                key = next;
            }
        }
    }

    private static void ofOne(long kept, int count, float log, long to) {
        for (int i = 0; i < count; i++) {
            ALL.set(FLOAT_ALIGNED, to + 4L * i, ALL.get(FLOAT_ALIGNED, kept + 4L * i) - log);
        }
    }

    /** Of keys whose four heads lie together; where there are fewer, the last of them is taken again. */
    private static void ofFour(
            long kept,
            long second,
            long third,
            long fourth,
            int count,
            float log0,
            float log1,
            float log2,
            float log3,
            boolean more,
            long to) {
        for (int i = 0; i < count; i++) {
            long at = kept + 16L * i;
            float a = ALL.get(FLOAT_ALIGNED, at) - log0;
            float b = ALL.get(FLOAT_ALIGNED, at + second) - log1;
            float c = ALL.get(FLOAT_ALIGNED, at + third) - log2;
            float d = ALL.get(FLOAT_ALIGNED, at + fourth) - log3;
            float most = Math.max(Math.max(a, b), Math.max(c, d));
            ALL.set(FLOAT_ALIGNED, to + 4L * i, more ? Math.max(most, ALL.get(FLOAT_ALIGNED, to + 4L * i)) : most);
        }
    }
}
