package ai.winnow.kernels.simd;

import static ai.winnow.ir.SparseAttention.CACHE;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LONG;

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
 * the same lists. A sequence whose lists name all its keys is taken by {@link AttentionKernel}, with the same bits.
 */
final class SparseAttentionKernel implements Kernel, Workers.Task {

    /** Listed elements below which a second thread costs more than it brings. */
    private static final long PART_ELEMENTS = 1 << 14;

    private final SparseAttention op;
    private final Attention attention;
    private final KeyLists lists;
    private final KvShape shape;
    private final ListedRows listed;
    private final AttentionKernel dense;
    private final long partBytes;

    /** @param maxRows of all sequences */
    SparseAttentionKernel(SparseAttention op, int maxRows) {
        this.op = op;
        this.attention = op.attention();
        this.lists = op.keys();
        this.shape = lists.shape();
        this.listed = new ListedRows(op);
        this.dense = new AttentionKernel(attention, maxRows, CACHE);
        this.partBytes = Math.max(listed.scratchBytes(), dense.partBytes());
    }

    @Override
    public String name() {
        return PageRows.type(shape.dtype()) + "SparseAttention";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(partBytes, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows == 0) {
            return;
        }
        long pages = 0;
        int tiles = 0;
        for (int row = 0; row < rows; tiles++) {
            for (int list = 0; list < lists.lists(); list++) {
                pages += count(operands, tiles, list);
            }
            row = Math.min(row + lists.tileRows(), last(operands, row));
        }
        long elements = pages * KvShape.PAGE_ROWS * shape.headDim() * op.group() * lists.tileRows();
        long work = Math.min((long) tiles * lists.lists(), elements / PART_ELEMENTS);
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, work, 1));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(partBytes, part), partBytes);
        int rows = operands.inRows(0);
        int task = 0;
        int tile = 0;
        for (int first = 0; first < rows; ) {
            int last = last(operands, first);
            boolean whole = areWhole(operands, tile, first, last);
            int step = whole ? dense.step(last - first) : lists.tileRows();
            int count = whole ? shape.heads() : lists.lists();
            for (int row = first; row < last; row += step) {
                int end = Math.min(row + step, last);
                for (int list = 0; list < count; list++) {
                    if (task++ % parts != part) {
                        continue;
                    }
                    if (whole) {
                        dense.attend(operands, row, end - row, list, scratch);
                    } else {
                        attend(operands, tile + (row - first) / step, list, row, end, scratch);
                    }
                }
            }
            tile += (last - first + lists.tileRows() - 1) / lists.tileRows();
            first = last;
        }
    }

    /** Whether the lists of a sequence, whose first tile is {@code tile}, name all that its rows see. */
    private boolean areWhole(Operands operands, int tile, int first, int last) {
        for (int row = first, t = tile; row < last; row += lists.tileRows(), t++) {
            int rows = Math.min(lists.tileRows(), last - row);
            for (int list = 0; list < lists.lists(); list++) {
                int end = end(operands, row, list);
                int begin = attention.window() > 0 ? Math.max(0, end - attention.window()) : 0;
                if (!isWhole(operands, t, list, begin, end + rows - 1)) {
                    return false;
                }
            }
        }
        return true;
    }

    private boolean isWhole(Operands operands, int tile, int list, int begin, int end) {
        long at = ((long) tile * lists.lists() + list) * lists.pagesPerList();
        int count = count(operands, tile, list);
        int next = begin / KvShape.PAGE_ROWS;
        for (int i = 0; i < count && next * KvShape.PAGE_ROWS < end; i++) {
            int page = operands.in(2).get(INT, 4 * (at + i));
            if (page == next) {
                long seen = ListedRows.seen(page, begin, end);
                if ((operands.in(3).get(LONG, 8 * (at + i)) & seen) != seen) {
                    return false;
                }
                next++;
            } else if (page > next) {
                return false;
            }
        }
        return next * KvShape.PAGE_ROWS >= end;
    }

    private int count(Operands operands, int tile, int list) {
        int count = operands.in(1).get(INT, 4L * ((long) tile * lists.lists() + list));
        return Objects.checkFromToIndex(0, count, lists.pagesPerList()) + count;
    }

    /** Where the rows of the sequence of {@code row} end. */
    private static int last(Operands operands, int row) {
        int sequence = operands.in(CACHE).get(INT, 4L * row);
        int last = operands.in(CACHE + 1).get(INT, 4L * (sequence + 1));
        if (last <= row || last > operands.inRows(0)) {
            throw new IllegalArgumentException("row " + row + " of " + operands.inRows(0) + " belongs to sequence "
                    + sequence + ", which ends at " + last);
        }
        return last;
    }

    /** Where what a row sees ends. */
    private int end(Operands operands, int row, int list) {
        int sequence = operands.in(CACHE).get(INT, 4L * row);
        int first = operands.in(CACHE + 1).get(INT, 4L * sequence);
        int slot = operands.in(CACHE + 2).get(INT, 4L * sequence);
        int head = shape.headIndex(slot, attention.layer(), lists.head(list));
        return operands.in(CACHE + 6).get(INT, 4L * head) + row - first + 1;
    }

    private void attend(Operands operands, int tile, int list, int from, int to, long scratch) {
        int slot = operands.in(CACHE + 2).get(INT, 4L * operands.in(CACHE).get(INT, 4L * from));
        long entry = shape.tableIndex(slot, attention.layer(), lists.head(list));
        long table = Memory.address(operands.in(CACHE + 5), 4 * entry, 4L * shape.pagesPerHead());
        long headBytes = 4L * op.group() * shape.headDim();
        long rowBytes = headBytes * lists.lists();
        long at = ((long) tile * lists.lists() + list) * lists.pagesPerList();
        int step = listed.step(to - from);
        for (int row = from; row < to; row += step) {
            listed.attend(
                    operands.inAddress(0) + row * rowBytes + list * headBytes,
                    operands.outAddress(0) + row * rowBytes + list * headBytes,
                    rowBytes,
                    Math.min(step, to - row),
                    end(operands, row, list),
                    operands.inAddress(2) + 4 * at,
                    operands.inAddress(3) + 8 * at,
                    count(operands, tile, list),
                    table,
                    operands.in(CACHE + 3),
                    operands.in(CACHE + 4),
                    scratch);
        }
    }
}
