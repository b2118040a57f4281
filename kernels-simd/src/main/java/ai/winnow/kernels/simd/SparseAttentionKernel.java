package ai.winnow.kernels.simd;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.SparseAttention;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.util.Objects;

/**
 * Softmax attention of each row over the keys of its tile's lists. The work is cut by tiles and lists, in turns, always in the same way for
 * the same shape.
 */
final class SparseAttentionKernel implements Kernel, Workers.Task {

    /** Listed elements below which a second thread costs more than it brings. */
    private static final long PART_ELEMENTS = 1 << 14;

    private final SparseAttention op;
    private final Attention attention;
    private final KeyLists lists;
    private final KvShape shape;
    private final ListedRows listed;

    SparseAttentionKernel(SparseAttention op) {
        this.op = op;
        this.attention = op.attention();
        this.lists = op.keys();
        this.shape = lists.shape();
        this.listed = new ListedRows(op);
    }

    @Override
    public String name() {
        return PageRows.type(shape.dtype()) + "SparseAttention";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(listed.scratchBytes(), Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows == 0) {
            return;
        }
        long pages = 0;
        int tasks = 0;
        for (int row = 0; row < rows; tasks++) {
            for (int list = 0; list < lists.lists(); list++) {
                pages += count(operands, tasks, list);
            }
            row = tileEnd(operands, row);
        }
        long elements = pages * KvShape.PAGE_ROWS * shape.headDim() * op.group() * lists.tileRows();
        long work = Math.min((long) tasks * lists.lists(), elements / PART_ELEMENTS);
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, work, 1));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long bytes = listed.scratchBytes();
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(bytes, part), bytes);
        int rows = operands.inRows(0);
        int task = 0;
        int tile = 0;
        for (int row = 0; row < rows; tile++) {
            int end = tileEnd(operands, row);
            for (int list = 0; list < lists.lists(); list++) {
                if (task++ % parts == part) {
                    attend(operands, tile, list, row, end, scratch);
                }
            }
            row = end;
        }
    }

    private int count(Operands operands, int tile, int list) {
        int count = operands.in(1).get(Lanes.INT, 4L * ((long) tile * lists.lists() + list));
        return Objects.checkFromToIndex(0, count, lists.pagesPerList()) + count;
    }

    /** Where the tile of {@code row}, its first, ends. */
    private int tileEnd(Operands operands, int row) {
        int sequence = operands.in(SparseAttention.CACHE).get(Lanes.INT, 4L * row);
        int last = operands.in(SparseAttention.CACHE + 1).get(Lanes.INT, 4L * (sequence + 1));
        if (last <= row || last > operands.inRows(0)) {
            throw new IllegalArgumentException("row " + row + " of " + operands.inRows(0) + " belongs to sequence "
                    + sequence + ", which ends at " + last);
        }
        return Math.min(row + lists.tileRows(), last);
    }

    private void attend(Operands operands, int tile, int list, int from, int to, long scratch) {
        int cache = SparseAttention.CACHE;
        int sequence = operands.in(cache).get(Lanes.INT, 4L * from);
        int first = operands.in(cache + 1).get(Lanes.INT, 4L * sequence);
        int slot = operands.in(cache + 2).get(Lanes.INT, 4L * sequence);
        int head = lists.head(list);
        int length = operands.in(cache + 6).get(Lanes.INT, 4L * shape.headIndex(slot, attention.layer(), head));
        long entry = shape.tableIndex(slot, attention.layer(), head);
        long table = Memory.address(operands.in(cache + 5), 4 * entry, 4L * shape.pagesPerHead());
        long headBytes = 4L * op.group() * shape.headDim();
        long rowBytes = headBytes * lists.lists();
        long at = ((long) tile * lists.lists() + list) * lists.pagesPerList();
        int count = count(operands, tile, list);
        int step = listed.step(to - from);
        for (int row = from; row < to; row += step) {
            int rows = Math.min(step, to - row);
            listed.attend(
                    operands.inAddress(0) + row * rowBytes + list * headBytes,
                    operands.outAddress(0) + row * rowBytes + list * headBytes,
                    rowBytes,
                    rows,
                    length + row - first + 1,
                    operands.inAddress(2) + 4 * at,
                    operands.inAddress(3) + 8 * at,
                    count,
                    table,
                    operands.in(cache + 3),
                    operands.in(cache + 4),
                    scratch);
        }
    }
}
