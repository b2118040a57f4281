package ai.winnow.kernels.simd;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedAttention;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Softmax attention of each row over the pages of its sequence. The work is cut by key-value heads and by rows: a sequence with several
 * rows into tiles of them, one with few into single rows, always in the same way for the same shape.
 */
final class AttentionKernel implements Kernel, Workers.Task {

    /** Cached elements below which a second thread costs more than it brings. */
    private static final long PART_ELEMENTS = 1 << 14;

    /** Rows of a sequence from which on packing its pages for all of them pays. */
    private static final int TILED_ROWS = 4;

    private final Attention op;
    private final KvShape shape;

    /** Which operand {@code sequence} is. */
    private final int cache;

    private final RowAttention single;
    private final @Nullable TileAttention tiled;
    private final @Nullable PackedRows packed;
    private final long partBytes;

    /** @param maxRows of all sequences */
    AttentionKernel(Attention op, int maxRows) {
        this(op, maxRows, 1);
    }

    /** @param cache which operand {@code sequence} is; the others of the cache follow */
    AttentionKernel(Attention op, int maxRows, int cache) {
        this(op, maxRows, cache, null);
    }

    /** Attention over a cache that has packed pages too. */
    AttentionKernel(PackedAttention op, int maxRows) {
        this(op.attention(), maxRows, 1, op);
    }

    private AttentionKernel(Attention op, int maxRows, int cache, @Nullable PackedAttention packing) {
        this.op = op;
        this.shape = op.shape();
        this.cache = cache;
        this.single = new RowAttention(op);
        this.tiled = maxRows >= TILED_ROWS && TileAttention.takes(shape.headDim()) ? new TileAttention(op) : null;
        long denseBytes = Math.max(single.scratchBytes(), tiled == null ? 0 : tiled.scratchBytes());
        this.packed = packing == null ? null : new PackedRows(packing, single, tiled, denseBytes);
        this.partBytes = packed == null ? denseBytes : packed.scratchBytes();
    }

    @Override
    public String name() {
        return PageRows.type(shape.dtype()) + (packed == null ? "Attention" : "PackedAttention");
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(partBytes, Parts.MOST);
    }

    /** Bytes of scratch of a part. */
    long partBytes() {
        return partBytes;
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int count = operands.inRows(0);
        if (count == 0) {
            return;
        }
        int tasks = 0;
        for (int row = 0; row < count; ) {
            int last = last(operands, row);
            tasks += shape.heads() * ((last - row + step(last - row) - 1) / step(last - row));
            row = last;
        }
        long elements = (long) end(operands, 0, 0) * shape.headDim() * op.group();
        long work = Math.min(tasks, elements * count * shape.heads() / PART_ELEMENTS);
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, work, 1));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(partBytes, part), partBytes);
        int count = operands.inRows(0);
        int task = 0;
        for (int row = 0; row < count; ) {
            int last = last(operands, row);
            int step = step(last - row);
            for (; row < last; row += step) {
                for (int head = 0; head < shape.heads(); head++) {
                    if (task++ % parts == part) {
                        attend(operands, row, Math.min(step, last - row), head, scratch);
                    }
                }
            }
            row = last;
        }
    }

    /** Rows of a task, of a sequence that has {@code rows} of them. */
    int step(int rows) {
        return tiled != null && rows >= TILED_ROWS ? tiled.rows() : 1;
    }

    /** Where the rows of the sequence of {@code row} end. */
    private int last(Operands operands, int row) {
        int sequence = operands.in(cache).get(Lanes.INT, 4L * row);
        int last = operands.in(cache + 1).get(Lanes.INT, 4L * (sequence + 1));
        if (last <= row || last > operands.inRows(0)) {
            throw new IllegalArgumentException("row " + row + " of " + operands.inRows(0) + " belongs to sequence "
                    + sequence + ", which ends at " + last);
        }
        return last;
    }

    /** Where what a row sees ends. */
    private int end(Operands operands, int row, int head) {
        int sequence = operands.in(cache).get(Lanes.INT, 4L * row);
        int first = operands.in(cache + 1).get(Lanes.INT, 4L * sequence);
        int slot = operands.in(cache + 2).get(Lanes.INT, 4L * sequence);
        return operands.in(cache + 6).get(Lanes.INT, 4L * shape.headIndex(slot, op.layer(), head)) + row - first + 1;
    }

    /** Attends with {@code rows} rows of one sequence, and the query heads of one key-value head. */
    void attend(Operands operands, int row, int rows, int head, long scratch) {
        int sequence = operands.in(cache).get(Lanes.INT, 4L * row);
        int slot = operands.in(cache + 2).get(Lanes.INT, 4L * sequence);
        int end = end(operands, row, head);
        Objects.checkFromToIndex(0, (end + rows - 2) / KvShape.PAGE_ROWS + 1, shape.pagesPerHead());
        long headBytes = 4L * op.group() * shape.headDim();
        long rowBytes = headBytes * shape.heads();
        long bytes = (rows - 1) * rowBytes + headBytes;
        long query = Memory.address(operands.in(0), row * rowBytes + head * headBytes, bytes);
        long out = Memory.address(operands.out(0), row * rowBytes + head * headBytes, bytes);
        long entry = shape.tableIndex(slot, op.layer(), head);
        long table = Memory.address(operands.in(cache + 5), 4 * entry, 4L * shape.pagesPerHead());
        MemorySegment keys = operands.in(cache + 3);
        MemorySegment values = operands.in(cache + 4);
        int begin = op.window() > 0 ? Math.max(0, end - op.window()) : 0;
        if (packed != null && PackedRows.any(table, begin, end)) {
            MemorySegment pool = operands.in(PackedAttention.PACKED);
            if (tiled == null || rows == 1) {
                packed.attend(query, out, keys, values, pool, table, begin, end, scratch);
            } else {
                packed.attend(query, out, rowBytes, rows, keys, values, pool, table, end, scratch);
            }
        } else if (tiled == null || rows == 1) {
            single.attend(query, out, keys, values, table, begin, end, scratch);
        } else {
            tiled.attend(query, out, rowBytes, rows, keys, values, table, end, scratch);
        }
    }
}
