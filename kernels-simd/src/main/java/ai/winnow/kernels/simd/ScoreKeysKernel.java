package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.util.Objects;
import jdk.incubator.vector.FloatVector;

/**
 * Fits of queries to units of keys, (tile, list) by (tile, list), four query heads at once. Traffic: the plane once for each list, the scores
 * once.
 *
 * <p>Scratch: the scaled queries as {@link PlaneFits} takes them, in fours; a page in f32; the fits of a page, or of all pages where each head
 * has a softmax; a vector for it, and four for {@link PlaneFits#ofUnits}.
 */
final class ScoreKeysKernel implements Kernel, Workers.Task {

    /** Numbers of a plane below which a second thread costs more than it brings. */
    private static final long PART_NUMBERS = 1 << 14;

    private static final int HEADS = PlaneFits.HEADS;

    private final ScoreKeys op;
    private final KeyLists lists;
    private final KvShape shape;
    private final KvPlane plane;
    private final boolean shares;
    private final int blocks;
    private final long queryPitch;
    private final long pitch;
    private final long pageAt;
    private final long fitsAt;
    private final long vectorsAt;
    private final long bytes;

    ScoreKeysKernel(ScoreKeys op) {
        this.op = op;
        this.lists = op.keys();
        this.shape = lists.shape();
        this.plane = op.plane();
        this.shares = op.reduction() == ScoreKeys.Reduction.SHARES;
        this.blocks = (op.group() + HEADS - 1) / HEADS;
        this.queryPitch = 4L * plane.width() * (plane.unit() == 1 ? 1 : plane.units());
        int units = shares ? shape.pagesPerHead() * plane.units() : plane.units();
        this.pitch = Tensor.align(4L * (units + COUNT));
        this.pageAt = Tensor.align(queryPitch * blocks * HEADS);
        this.fitsAt = pageAt + Tensor.align(4 * plane.pageElements());
        this.vectorsAt = fitsAt + pitch * blocks * HEADS;
        this.bytes = vectorsAt + 4L * COUNT * HEADS;
    }

    @Override
    public String name() {
        return PageRows.type(plane.dtype()) + "ScoreKeys";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(bytes, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(1);
        if (rows == 0) {
            return;
        }
        long tasks = 0;
        long numbers = 0;
        for (int row = 0; row < rows; ) {
            int last = last(operands, row);
            int end = end(operands, 0, row, last);
            long some = (long) lists.lists() * ((last - row - 1) / lists.tileRows() + 1);
            if (end > op.denseUpTo()) {
                tasks += some;
                numbers += some * ((end - 1) / KvShape.PAGE_ROWS + 1) * plane.pageElements();
            }
            row = last;
        }
        int parts = Parts.count(workspace, Math.min(tasks, numbers / PART_NUMBERS), 1);
        workspace.workers().run(this, operands, workspace, parts);
    }

    /** Where the rows of the sequence of {@code row} end. */
    private static int last(Operands operands, int row) {
        int sequence = operands.in(1).get(INT, 4L * row);
        int last = operands.in(2).get(INT, 4L * (sequence + 1));
        if (last <= row || last > operands.inRows(1)) {
            throw new IllegalArgumentException("row " + row + " of " + operands.inRows(1) + " belongs to sequence "
                    + sequence + ", which ends at " + last);
        }
        return last;
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(bytes, part), bytes);
        int rows = operands.inRows(1);
        int task = 0;
        int tile = 0;
        for (int row = 0; row < rows; tile++) {
            int last = Math.min(row + lists.tileRows(), last(operands, row));
            for (int list = 0; list < lists.lists(); list++) {
                if (task++ % parts == part) {
                    score(operands, tile, list, row, last, scratch);
                }
            }
            row = last;
        }
    }

    /** Where what the last of the rows up to {@code to}, of the sequence of {@code row}, sees ends. */
    private int end(Operands operands, int list, int row, int to) {
        int sequence = operands.in(1).get(INT, 4L * row);
        int first = operands.in(2).get(INT, 4L * sequence);
        int slot = operands.in(3).get(INT, 4L * sequence);
        int head = shape.headIndex(slot, op.layer(), lists.head(list));
        return operands.in(6).get(INT, 4L * head) + to - first;
    }

    private void score(Operands operands, int tile, int list, int from, int to, long scratch) {
        int end = end(operands, list, from, to);
        if (end <= op.denseUpTo()) {
            return;
        }
        int pages = (end - 1) / KvShape.PAGE_ROWS + 1;
        Objects.checkFromToIndex(0, end, shape.contextLength());
        int slot = operands.in(3).get(INT, 4L * operands.in(1).get(INT, 4L * from));
        long entry = shape.tableIndex(slot, op.layer(), lists.head(list));
        long at = (long) tile * lists.lists() + list;
        queries(operands.inAddress(0) + 4 * at * op.group() * plane.width(), scratch);
        int units = (end + plane.unit() - 1) / plane.unit();
        long scores = operands.outAddress(0) + 4 * at * op.unitsPerHead();
        for (int page = 0; page < pages; page++) {
            long number = operands.in(5).get(INT, 4 * (entry + page));
            long numbers = Memory.address(operands.in(4), number * plane.pageBytes(), plane.pageBytes());
            int first = page * plane.units();
            if (!shares && plane.unit() == 1 && blocks == 1 && units - first >= KvShape.PAGE_ROWS) {
                boolean bf16 = plane.dtype() == DType.BF16;
                PlaneFits.greatestOfKeys(bf16, numbers, scratch, plane.width(), scores + 4L * first);
                continue;
            }
            long fits = scratch + fitsAt + (shares ? 4L * first : 0);
            fit(numbers, fits, scratch);
            if (!shares) {
                greatest(fits, scores + 4L * first, Math.min(plane.units(), units - first));
            }
        }
        if (shares) {
            int first = end(operands, list, from, from + 1);
            shares(scores, first / plane.unit(), (first - 1) / plane.unit(), units, scratch);
        }
    }

    /** Lays the scaled queries of a list out; for heads that lack to four the last stands in, which changes no maximum. */
    private void queries(long query, long scratch) {
        int times = plane.unit() == 1 ? 1 : plane.units();
        float scale = shares ? op.scale() * Exponential2.LOG2_E : op.scale();
        for (int head = 0; head < blocks * HEADS; head++) {
            for (int j = 0; j < plane.width(); j++) {
                long of = Math.min(head, op.group() - 1);
                float number = scale * ALL.get(FLOAT, query + 4L * (of * plane.width() + j));
                for (int i = 0; i < times; i++) {
                    long to = plane.unit() == 1
                            ? ((long) head / HEADS * plane.width() + j) * HEADS + head % HEADS
                            : ((long) head * plane.width() + j) * times + i;
                    ALL.set(FLOAT, scratch + 4 * to, number);
                }
            }
        }
    }

    /** The fits of all heads to the units of a page. */
    private void fit(long page, long fits, long scratch) {
        long numbers = page;
        if (plane.dtype() == DType.BF16) {
            numbers = scratch + pageAt;
            Conversions.bf16ToFloat(page, numbers, Math.toIntExact(plane.pageElements()));
        }
        for (int block = 0; block < blocks; block++) {
            long queries = scratch + (long) block * HEADS * queryPitch;
            long y = fits + (long) block * HEADS * pitch;
            if (plane.unit() == 1) {
                PlaneFits.ofKeys(numbers, queries, plane.width(), y, pitch);
            } else {
                long vectors = scratch + vectorsAt;
                PlaneFits.ofUnits(numbers, queries, queryPitch, plane.width(), plane.units(), y, pitch, vectors);
            }
        }
    }

    private void greatest(long fits, long scores, int count) {
        int whole = F.loopBound(count);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector most = FloatVector.fromMemorySegment(F, ALL, fits + 4L * i, LE);
            for (int head = 1; head < op.group(); head++) {
                most = most.max(FloatVector.fromMemorySegment(F, ALL, fits + head * pitch + 4L * i, LE));
            }
            most.intoMemorySegment(ALL, scores + 4L * i, LE);
        }
        for (int i = whole; i < count; i++) {
            float most = ALL.get(FLOAT, fits + 4L * i);
            for (int head = 1; head < op.group(); head++) {
                most = Math.max(most, ALL.get(FLOAT, fits + head * pitch + 4L * i));
            }
            ALL.set(FLOAT, scores + 4L * i, most);
        }
    }

    /**
     * @param complete units that take part in the softmax
     * @param own the unit of the tile's first row
     */
    private void shares(long scores, int complete, int own, int units, long scratch) {
        for (int i = 0; i < own; i++) {
            ALL.set(FLOAT, scores + 4L * i, 0f);
        }
        for (int i = own; i < units; i++) {
            ALL.set(FLOAT, scores + 4L * i, Float.NEGATIVE_INFINITY);
        }
        for (int head = 0; own > 0 && head < op.group(); head++) {
            long fits = scratch + fitsAt + head * pitch;
            float most = ALL.get(FLOAT, fits);
            for (int i = 1; i < complete; i++) {
                most = Math.max(most, ALL.get(FLOAT, fits + 4L * i));
            }
            long vector = scratch + vectorsAt;
            for (int i = 0; i < COUNT; i++) {
                ALL.set(FLOAT, vector + 4L * i, most);
                ALL.set(FLOAT, fits + 4L * (complete + i), Float.NEGATIVE_INFINITY); // up to a whole vector
            }
            Exponential2.of(fits, (complete + COUNT - 1) / COUNT * COUNT, vector);
            float sum = 0;
            for (int i = 0; i < complete; i++) {
                sum += ALL.get(FLOAT, fits + 4L * i);
            }
            for (int i = 0; i < own; i++) {
                ALL.set(FLOAT, scores + 4L * i, ALL.get(FLOAT, scores + 4L * i) + ALL.get(FLOAT, fits + 4L * i) / sum);
            }
        }
    }
}
