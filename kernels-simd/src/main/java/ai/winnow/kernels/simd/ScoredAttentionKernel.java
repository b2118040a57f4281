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
        long scores = operands.outAddress(1) + 4 * ((long) row * op.lists() + list) * shape.contextLength();
        reduce(scratch, begin, end, scores);
    }

    /** The greatest of the heads that share the list, relative to the sum of each. */
    private void reduce(long scratch, int begin, int end, long scores) {
        for (int g = 0; g < op.group(); g++) {
            float log = single.logOfSum(g, scratch);
            for (int key = begin; key < end; key++) {
                float score = single.kept(g, key, scratch) - log;
                long to = scores + 4L * key;
                ALL.set(FLOAT_ALIGNED, to, g == 0 ? score : Math.max(ALL.get(FLOAT_ALIGNED, to), score));
            }
        }
    }
}
