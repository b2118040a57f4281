package ai.winnow.kernels.simd;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;

/**
 * Softmax attention of each row over the pages of its sequence. The work is split by (row, key-value head); the query heads that
 * share one pass over its pages together.
 */
final class AttentionKernel implements Kernel, Workers.Task {

    /** Cached elements below which a second thread costs more than it brings. */
    private static final long PART_ELEMENTS = 1 << 14;

    private final Attention op;
    private final KvShape shape;
    private final RowAttention rows;
    private final long partBytes;

    AttentionKernel(Attention op) {
        this.op = op;
        this.shape = op.shape();
        this.rows = new RowAttention(op);
        this.partBytes = rows.scratchBytes();
    }

    @Override
    public String name() {
        return (shape.dtype() == DType.F32 ? "F32" : "Bf16") + "Attention";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(partBytes, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int count = operands.inRows(0);
        if (count == 0) {
            return;
        }
        int tasks = count * shape.heads();
        long cached = (long) end(operands, 0, 0) * shape.headDim() * op.group();
        long work = Math.min(tasks, tasks * cached / PART_ELEMENTS);
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, work, 1));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = AllMemory.address(workspace.scratchAddress(), Parts.scratch(partBytes, part), partBytes);
        int tasks = operands.inRows(0) * shape.heads();
        for (int task = part; task < tasks; task += parts) {
            attend(operands, scratch, task / shape.heads(), task % shape.heads());
        }
    }

    /** Where what a row sees ends. */
    private int end(Operands operands, int row, int head) {
        int sequence = operands.in(1).get(Lanes.INT, 4L * row);
        int first = operands.in(2).get(Lanes.INT, 4L * sequence);
        int slot = operands.in(3).get(Lanes.INT, 4L * sequence);
        return operands.in(7).get(Lanes.INT, 4L * shape.headIndex(slot, op.layer(), head)) + row - first + 1;
    }

    private void attend(Operands operands, long scratch, int row, int head) {
        int sequence = operands.in(1).get(Lanes.INT, 4L * row);
        int slot = operands.in(3).get(Lanes.INT, 4L * sequence);
        int end = end(operands, row, head);
        int begin = op.window() > 0 ? Math.max(0, end - op.window()) : 0;
        long bytes = 4L * op.group() * shape.headDim();
        long at = bytes * ((long) row * shape.heads() + head);
        long entries = 4L * shape.pagesPerHead();
        rows.attend(
                AllMemory.address(operands.inAddress(0), at, bytes),
                AllMemory.address(operands.outAddress(0), at, bytes),
                operands.inAddress(4),
                operands.inAddress(5),
                AllMemory.address(operands.inAddress(6), 4 * shape.tableIndex(slot, op.layer(), head), entries),
                begin,
                end,
                scratch);
    }
}
