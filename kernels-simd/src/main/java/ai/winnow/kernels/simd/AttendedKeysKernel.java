package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.AttendedKeys;
import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.util.Objects;

/**
 * Columns of the attention map, one probing row after the other: the scores of all keys are kept in scratch {@code [keys, heads]}, become
 * probabilities when the sum of all is known, and are added to the columns. Traffic: the keys once a row, the scores twice.
 */
final class AttendedKeysKernel implements Kernel, Workers.Task {

    /** Heads whose scores lie together. */
    private static final int HEADS = 4;

    private static final long VECTOR_BYTES = 64;

    private final AttendedKeys op;
    private final Attention attention;
    private final KvShape shape;
    private final RowAttention single;
    private final boolean sum;
    private final long lessAt;
    private final long bytes;

    AttendedKeysKernel(AttendedKeys op) {
        this.op = op;
        this.attention = op.attention();
        this.shape = attention.shape();
        this.single = new RowAttention(attention, op.group(), true);
        this.sum = op.reduction() == AttendedKeys.Reduction.SUM;
        this.lessAt = single.scratchBytes();
        this.bytes = lessAt + VECTOR_BYTES;
    }

    @Override
    public String name() {
        return PageRows.type(shape.dtype()) + "AttendedKeys";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(bytes, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows > 0) {
            workspace
                    .workers()
                    .run(
                            this,
                            operands,
                            workspace,
                            Parts.count(workspace, (long) rows * op.keys().lists(), 1));
        }
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(bytes, part), bytes);
        int lists = op.keys().lists();
        int tileRows = op.keys().tileRows();
        int rows = operands.inRows(0);
        int task = 0;
        int tile = 0;
        int sequence = 0;
        for (int row = 0; row < rows; ) {
            int end = operands.in(2).get(INT, 4L * (sequence + 1));
            Objects.checkFromToIndex(row, end, rows);
            while (row < end) {
                int next = (int) Math.min(end, (long) row + tileRows);
                for (int list = 0; list < lists; list++) {
                    if (task++ % parts == part) {
                        tile(operands, tile, list, sequence, row, next, scratch);
                    }
                }
                tile++;
                row = next;
            }
            sequence++;
        }
    }

    /** List {@code list} of the tile of the rows {@code from} to {@code to} of the step. */
    private void tile(Operands operands, int tile, int list, int sequence, int from, int to, long scratch) {
        int first = operands.in(2).get(INT, 4L * sequence);
        int slot = operands.in(3).get(INT, 4L * sequence);
        int head = op.keys().head(list);
        int cached = operands.in(7).get(INT, 4L * shape.headIndex(slot, attention.layer(), head)) - first + 1;
        int seen = cached + to - 1;
        if (seen <= op.denseUpTo()) {
            return;
        }
        Objects.checkFromToIndex(0, seen, shape.contextLength());
        long table = Memory.address(
                operands.in(6), 4 * shape.tableIndex(slot, attention.layer(), head), 4L * shape.pagesPerHead());
        long headBytes = 4L * op.group() * shape.headDim();
        long columns = Memory.address(
                operands.out(0), 4 * ((long) tile * op.keys().lists() + list) * shape.contextLength(), 4L * seen);
        for (int key = 0; key < seen; key++) {
            ALL.set(FLOAT_ALIGNED, columns + 4L * key, 0f);
        }
        for (int row = Math.max(from, to - op.probes()); row < to; row++) {
            long at = ((long) row * op.keys().lists() + list) * headBytes;
            int end = cached + row;
            int begin = attention.window() > 0 ? Math.max(0, end - attention.window()) : 0;
            single.score(Memory.address(operands.in(0), at, headBytes), operands.in(4), table, begin, end, scratch);
            reduce(begin, end, columns, scratch);
        }
    }

    private void reduce(int begin, int end, long columns, long scratch) {
        for (int first = 0; first < op.group(); first += HEADS) {
            int heads = op.group() == 1 ? 1 : HEADS;
            int there = Math.min(heads, op.group() - first);
            for (int lane = 0; lane < COUNT; lane++) {
                int g = first + Math.min(lane % heads, there - 1);
                ALL.set(FLOAT_ALIGNED, scratch + lessAt + 4L * lane, single.logOfSum(g, scratch));
            }
            for (int key = begin; key < end; ) {
                int next = Math.min(end, (key / KvShape.PAGE_ROWS + 1) * KvShape.PAGE_ROWS);
                long page = single.kept(first, key - key % KvShape.PAGE_ROWS, scratch);
                int floats = heads * (next - key + key % KvShape.PAGE_ROWS);
                Exponential2.of(page, (floats + COUNT - 1) & -COUNT, scratch + lessAt);
                long shares = single.kept(first, key, scratch);
                if (sum) {
                    sum(shares, heads, there, next - key, columns + 4L * key);
                } else {
                    greatest(shares, heads, there, next - key, columns + 4L * key);
                }
                key = next;
            }
        }
    }

    private static void sum(long shares, int heads, int there, int keys, long columns) {
        for (int i = 0; i < keys; i++) {
            float sum = ALL.get(FLOAT_ALIGNED, columns + 4L * i);
            for (int g = 0; g < there; g++) {
                sum += ALL.get(FLOAT_ALIGNED, shares + 4L * ((long) heads * i + g));
            }
            ALL.set(FLOAT_ALIGNED, columns + 4L * i, sum);
        }
    }

    private static void greatest(long shares, int heads, int there, int keys, long columns) {
        for (int i = 0; i < keys; i++) {
            float most = ALL.get(FLOAT_ALIGNED, columns + 4L * i);
            for (int g = 0; g < there; g++) {
                most = Math.max(most, ALL.get(FLOAT_ALIGNED, shares + 4L * ((long) heads * i + g)));
            }
            ALL.set(FLOAT_ALIGNED, columns + 4L * i, most);
        }
    }
}
