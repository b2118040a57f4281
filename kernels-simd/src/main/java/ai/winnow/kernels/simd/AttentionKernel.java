package ai.winnow.kernels.simd;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;

/**
 * Softmax attention of each row over the pages of its sequence. Sequences that bring one row are read a row at a time, those that bring more in tiles.
 * The work is split by key-value heads and by rows, or, where there is only one, by stretches of the context whose states are merged in order; where it
 * is cut depends on the shapes alone, never on the threads.
 */
final class AttentionKernel implements Kernel, Workers.Task {

    /** Cached elements below which a second thread costs more than it brings. */
    private static final long PART_ELEMENTS = 1 << 14;

    /** Rows of a stretch are at least so many, and a head has at most so many stretches. */
    private static final int STRETCH_ROWS = 1024;

    private static final int MOST_STRETCHES = 16;

    private final Attention op;
    private final KvShape shape;
    private final HeadAttention heads;
    private final TileAttention tiles;
    private final long partBytes;
    private final int maxSequences;

    /** Rows of a stretch. */
    private final int stretch;

    /** Stretches of a whole context. */
    private final int stretches;

    private final long stretchesAt;
    private final Workers.Task merge = this::merge;

    AttentionKernel(Attention op, int maxSequences) {
        this.op = op;
        this.shape = op.shape();
        this.heads = new HeadAttention(op);
        this.tiles = new TileAttention(op);
        this.partBytes = Math.max(heads.scratchBytes(), tiles.scratchBytes());
        this.maxSequences = maxSequences;
        int even = (shape.contextLength() + MOST_STRETCHES - 1) / MOST_STRETCHES;
        this.stretch = Math.max(STRETCH_ROWS, (even + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS * KvShape.PAGE_ROWS);
        this.stretches = (shape.contextLength() + stretch - 1) / stretch;
        this.stretchesAt = Parts.scratch(partBytes, Parts.MOST);
    }

    @Override
    public String name() {
        return heads.name() + "Attention";
    }

    @Override
    public long workspaceBytes() {
        return stretchesAt + (long) maxSequences * shape.heads() * stretches * heads.stateBytes();
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows == 0) {
            return;
        }
        long elements = 0;
        boolean split = false;
        for (int sequence = 0; sequence < operands.inRows(3); sequence++) {
            int count = rows(operands, sequence);
            if (count > 0) {
                long end = end(operands, first(operands, sequence) + count - 1, 0);
                elements += end * count;
                split |= count == 1 && stretches > 1;
            }
        }
        long work = elements * shape.heads() * shape.headDim() * op.group() / PART_ELEMENTS;
        int parts = Parts.count(workspace, work, 1);
        workspace.workers().run(this, operands, workspace, parts);
        if (split) {
            workspace.workers().run(merge, operands, workspace, parts);
        }
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        MemorySegment scratch = workspace.scratch();
        long scratchAt = Parts.scratch(partBytes, part);
        int task = 0;
        for (int sequence = 0; sequence < operands.inRows(3); sequence++) {
            int first = first(operands, sequence);
            int count = rows(operands, sequence);
            if (count == 0) {
                continue; // it has no first row to ask for its end
            }
            for (int head = 0; head < shape.heads(); head++) {
                int end = end(operands, first, head);
                if (count == 1) {
                    int begin = begin(end);
                    for (int s = begin / stretch; s * stretch < end; s++) {
                        if (task++ % parts == part) {
                            stretch(operands, sequence, head, begin, end, s, scratch, scratchAt);
                        }
                    }
                } else {
                    for (int row = 0; row < count; row += tiles.tokens()) {
                        if (task++ % parts == part) {
                            int width = Math.min(tiles.tokens(), count - row);
                            tiles.attend(operands, first + row, width, head, end + row, scratch, scratchAt);
                        }
                    }
                }
            }
        }
    }

    /** A stretch of what the only row of a sequence sees. */
    private void stretch(
            Operands operands,
            int sequence,
            int head,
            int begin,
            int end,
            int s,
            MemorySegment scratch,
            long scratchAt) {
        int from = Math.max(begin, s * stretch);
        int to = Math.min(end, (s + 1) * stretch);
        int row = first(operands, sequence);
        long stateAt = stateAt(sequence, head, s);
        heads.attend(operands, row, head, from, to, scratch, scratchAt, stateAt);
        if (end - begin == to - from) {
            heads.finish(operands, row, head, scratch, stateAt);
        }
    }

    /** Puts the stretches of each head together, in ascending order. */
    private void merge(Operands operands, Workspace workspace, int part, int parts) {
        MemorySegment scratch = workspace.scratch();
        for (int task = part; task < operands.inRows(3) * shape.heads(); task += parts) {
            int sequence = task / shape.heads();
            int head = task % shape.heads();
            if (rows(operands, sequence) == 1) {
                int row = first(operands, sequence);
                int end = end(operands, row, head);
                int from = begin(end) / stretch;
                int to = (end + stretch - 1) / stretch;
                if (to - from > 1) {
                    long stateAt = stateAt(sequence, head, from);
                    for (int s = from + 1; s < to; s++) {
                        heads.merge(scratch, stateAt, stateAt(sequence, head, s));
                    }
                    heads.finish(operands, row, head, scratch, stateAt);
                }
            }
        }
    }

    private long stateAt(int sequence, int head, int s) {
        return stretchesAt + (((long) sequence * shape.heads() + head) * stretches + s) * heads.stateBytes();
    }

    private static int first(Operands operands, int sequence) {
        return operands.in(2).get(Lanes.INT, 4L * sequence);
    }

    private static int rows(Operands operands, int sequence) {
        return first(operands, sequence + 1) - first(operands, sequence);
    }

    /** Where what a row sees begins. */
    private int begin(int end) {
        return op.window() > 0 ? Math.max(0, end - op.window()) : 0;
    }

    /** Where what a row sees ends. */
    private int end(Operands operands, int row, int head) {
        int sequence = operands.in(1).get(Lanes.INT, 4L * row);
        int slot = operands.in(3).get(Lanes.INT, 4L * sequence);
        int cached = operands.in(7).get(Lanes.INT, 4L * shape.headIndex(slot, op.layer(), head));
        return cached + row - first(operands, sequence) + 1;
    }
}
