package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.SelectKeys;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.util.Objects;

/**
 * Lists of keys from scores, a list a task. Which keys are chosen is first a bit each, {@code I64 [pages]} in scratch, then a list of the pages
 * that have any. Traffic: the scores, and the lists as they are written.
 */
final class SelectKeysKernel implements Kernel, Workers.Task {

    /** Scores below which a second thread costs more than it brings. */
    private static final long PART_SCORES = 1 << 13;

    private final SelectKeys op;
    private final KeyLists lists;
    private final KvShape shape;
    private final int cache;
    private final long indexAt;
    private final long topKAt;
    private final long bytes;

    SelectKeysKernel(SelectKeys op) {
        this.op = op;
        this.lists = op.keys();
        this.shape = lists.shape();
        this.cache = op.rule().needsScores() ? 1 : 0;
        int units = op.unitsPerHead();
        this.indexAt = Tensor.align(8L * shape.pagesPerHead());
        this.topKAt = indexAt + Tensor.align(4L * (units + Selection.SLACK));
        this.bytes = topKAt + Math.max(TopK.scratchBytes(units), KeyMass.scratchBytes(units));
    }

    @Override
    public String name() {
        return "SelectKeys";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(bytes, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(cache);
        if (rows == 0) {
            return;
        }
        long tiles = rows / lists.tileRows() + 1L;
        long scores = tiles * lists.lists() * (end(operands, 0, 0, rows) / op.unit());
        int parts = Parts.count(workspace, Math.min(tiles * lists.lists(), scores / PART_SCORES), 1);
        workspace.workers().run(this, operands, workspace, parts);
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(bytes, part), bytes);
        int rows = operands.inRows(cache);
        int task = 0;
        int tile = 0;
        for (int row = 0; row < rows; tile++) {
            int sequence = operands.in(cache).get(INT, 4L * row);
            int last = Math.min(row + lists.tileRows(), operands.in(cache + 1).get(INT, 4L * (sequence + 1)));
            if (last <= row || last > rows) {
                throw new IllegalArgumentException(
                        "row " + row + " of " + rows + " belongs to sequence " + sequence + ", which ends at " + last);
            }
            for (int list = 0; list < lists.lists(); list++) {
                if (task++ % parts == part) {
                    select(operands, tile, list, row, last, scratch);
                }
            }
            row = last;
        }
    }

    /** Where what the last of the rows up to {@code to}, of the sequence of {@code row}, sees ends. */
    private int end(Operands operands, int list, int row, int to) {
        int sequence = operands.in(cache).get(INT, 4L * row);
        int first = operands.in(cache + 1).get(INT, 4L * sequence);
        int slot = operands.in(cache + 2).get(INT, 4L * sequence);
        int head = shape.headIndex(slot, op.layer(), lists.head(list));
        return operands.in(cache + 3).get(INT, 4L * head) + to - first;
    }

    private void select(Operands operands, int tile, int list, int from, int to, long scratch) {
        int end = end(operands, list, from, to);
        int pages = (end + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS;
        Objects.checkFromToIndex(0, end, shape.contextLength());
        long at = (long) tile * lists.lists() + list;
        if (end <= op.denseUpTo()) {
            Lanes.fill(scratch, KeyLists.WHOLE, pages);
        } else {
            Lanes.fill(scratch, 0, pages);
            if (op.rule().needsScores()) {
                choose(operands.inAddress(0) + 4 * at * op.unitsPerHead(), (end + op.unit() - 1) / op.unit(), scratch);
            }
            place(end, end(operands, list, from, from + 1), scratch);
        }
        int rest = end % KvShape.PAGE_ROWS;
        if (rest > 0) {
            long last = scratch + 8L * (pages - 1);
            ALL.set(LONG, last, ALL.get(LONG, last) & (1L << rest) - 1);
        }
        write(operands, at, pages, scratch);
    }

    private void choose(long scores, int units, long scratch) {
        long index = scratch + indexAt;
        int kept =
                switch (op.rule()) {
                    case KeyRule.TopK rule -> TopK.selectGreatest(scores, units, rule.units(), scratch + topKAt, index);
                    case KeyRule.Above rule -> above(scores, units, rule.bound(), index);
                    case KeyRule.Mass rule -> KeyMass.select(scores, units, rule.share(), scratch + topKAt, index);
                    case KeyRule.ByPlace _ -> 0;
                };
        for (int i = 0; i < kept; i++) {
            int unit = ALL.get(INT, index + 4L * i);
            name(unit, scratch);
        }
    }

    private static int above(long scores, int units, float bound, long index) {
        int kept = 0;
        for (int i = 0; i < units; i++) {
            ALL.set(INT, index + 4L * kept, i);
            kept += ALL.get(Lanes.FLOAT, scores + 4L * i) <= bound ? 0 : 1;
        }
        return kept;
    }

    /** Sets the bits of a unit. */
    private void name(int unit, long scratch) {
        int key = unit * op.unit();
        long at = scratch + 8L * (key / KvShape.PAGE_ROWS);
        long bits = -1L >>> (KvShape.PAGE_ROWS - op.unit());
        ALL.set(LONG, at, ALL.get(LONG, at) | bits << key % KvShape.PAGE_ROWS);
    }

    private void place(int end, int last, long scratch) {
        int units = (end + op.unit() - 1) / op.unit();
        for (int unit = 0; unit < Math.min(op.first(), units); unit++) {
            name(unit, scratch);
        }
        if (op.recent() > 0) {
            for (int unit = Math.max(0, (last - 1) / op.unit() + 1 - op.recent()); unit < units; unit++) {
                name(unit, scratch);
            }
        }
    }

    private void write(Operands operands, long list, int pages, long scratch) {
        long numbers = operands.outAddress(1) + 4 * list * lists.pagesPerList();
        long masks = operands.outAddress(2) + 8 * list * lists.pagesPerList();
        int count = 0;
        for (int page = 0; page < pages; page++) {
            long mask = ALL.get(LONG, scratch + 8L * page);
            if (mask != 0) {
                Objects.checkIndex(count, lists.pagesPerList());
                ALL.set(INT, numbers + 4L * count, page);
                ALL.set(LONG, masks + 8L * count, mask);
                count++;
            }
        }
        ALL.set(INT, operands.outAddress(0) + 4 * list, count);
    }
}
