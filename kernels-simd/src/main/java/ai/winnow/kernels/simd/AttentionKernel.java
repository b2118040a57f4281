package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;

/**
 * Softmax attention of each row over the pages of its sequence. The work is split by (row, key-value head); the query heads that
 * share one pass over its pages together, so that a page is read from memory once and from cache for all but the first.
 *
 * <p>Scratch of a part: for each query head of a group the scaled query, the sums, the scores of a page and the softmax's state;
 * and one page of keys or values in f32 if there is no loop for the pages as they are.
 */
final class AttentionKernel implements Kernel, Workers.Task {

    /** Cached elements below which a second thread costs more than it brings. */
    private static final long PART_ELEMENTS = 1 << 14;

    private final Attention op;
    private final KvShape shape;
    private final int headDim;
    private final boolean paired;
    private final boolean straight;
    private final boolean widened;

    private final long headBytes;
    private final long scoresAt;
    private final long sumsAt;
    private final long statesAt;
    private final long pageAt;
    private final long partBytes;

    AttentionKernel(Attention op) {
        this.op = op;
        this.shape = op.shape();
        this.headDim = shape.headDim();
        this.paired = shape.dtype() == DType.BF16 && Bf16Pages.takes(headDim);
        this.straight = paired || (shape.dtype() == DType.F32 && F32Pages.takes(headDim));
        this.headBytes = Tensor.align(4L * headDim);
        this.sumsAt = op.group() * headBytes;
        this.scoresAt = 2 * sumsAt;
        this.statesAt = scoresAt + op.group() * SCORE_BYTES;
        this.pageAt = Tensor.align(statesAt + op.group() * Softmax.STATE_BYTES);
        this.widened = !paired && shape.dtype() == DType.BF16;
        this.partBytes = pageAt + (widened ? 4 * shape.pageElements() : 0);
    }

    /** The scores of a page, with room for a whole vector behind the last. */
    private static final long SCORE_BYTES = 4L * (KvShape.PAGE_ROWS + 16);

    @Override
    public String name() {
        return (shape.dtype() == DType.F32 ? "F32" : "Bf16") + "Attention" + (straight ? "" : ", any head size");
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
        int tasks = rows * shape.heads();
        long cached = (long) end(operands, 0, 0) * headDim * op.group();
        long work = Math.min(tasks, tasks * cached / PART_ELEMENTS);
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, work, 1));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int heads = shape.heads();
        int tasks = operands.inRows(0) * heads;
        long scratchAt = Parts.scratch(partBytes, part);
        for (int task = part; task < tasks; task += parts) {
            attend(operands, workspace.scratchAddress() + scratchAt, task / heads, task % heads);
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
        int group = op.group();
        long at = 4 * ((long) row * op.queryHeads() + (long) head * group) * headDim;
        for (int g = 0; g < group; g++) {
            query(operands.inAddress(0) + at + 4L * g * headDim, scratch + g * headBytes);
            Lanes.zero(scratch + sumsAt + g * headBytes, headDim);
            Softmax.start(scratch + statesAt + g * Softmax.STATE_BYTES);
        }
        int sequence = operands.in(1).get(Lanes.INT, 4L * row);
        int slot = operands.in(3).get(Lanes.INT, 4L * sequence);
        long entry = shape.tableIndex(slot, op.layer(), head);
        int end = end(operands, row, head);
        int begin = op.window() > 0 ? Math.max(0, end - op.window()) : 0;
        for (int start = begin / KvShape.PAGE_ROWS * KvShape.PAGE_ROWS; start < end; start += KvShape.PAGE_ROWS) {
            int page = operands.in(6).get(Lanes.INT, 4 * (entry + start / KvShape.PAGE_ROWS));
            int from = Math.max(0, begin - start);
            int to = Math.min(KvShape.PAGE_ROWS, end - start);
            page(operands, page, from, to, scratch);
        }
        for (int g = 0; g < group; g++) {
            long sumAt = scratch + sumsAt + g * headBytes;
            float total = ALL.get(Lanes.FLOAT, scratch + statesAt + g * Softmax.STATE_BYTES + 4);
            if (paired) {
                ColumnOrder.finishPaired(sumAt, 0, headDim, headDim, 1f);
            }
            Elementwise.scale(sumAt, 1 / total, operands.outAddress(0) + at + 4L * g * headDim, headDim);
        }
    }

    private void query(long query, long to) {
        if (paired) {
            RowOrder.pair(query, headDim, op.scale(), to);
        } else {
            Elementwise.scale(query, op.scale(), to, headDim);
        }
    }

    /** Rows {@code from} to {@code to} of a page, for all query heads of the group. */
    private void page(Operands operands, int page, int from, int to, long scratch) {
        int first = from & -4; // scores come in fours
        int padded = (to + Lanes.COUNT - 1) / Lanes.COUNT * Lanes.COUNT;
        long pageBytes = page * shape.pageBytes();
        long keys = pages(operands.inAddress(4) + pageBytes, to, scratch);
        for (int g = 0; g < op.group(); g++) {
            long scores = scratch + scoresAt + g * SCORE_BYTES;
            long queryAt = scratch + g * headBytes;
            scores(keys + first * rowBytes(), queryAt, scores + 4L * first, to - first);
            none(scores, 0, from);
            none(scores, to, padded);
            long state = scratch + statesAt + g * Softmax.STATE_BYTES;
            float factor = Softmax.piece(scores, padded, state);
            long sums = scratch + sumsAt + g * headBytes;
            if (factor != 1) {
                Elementwise.scale(sums, factor, sums, headDim);
            }
        }
        long values = pages(operands.inAddress(5) + pageBytes, to, scratch) + from * rowBytes();
        for (int g = 0; g < op.group(); g++) {
            long weights = scratch + scoresAt + g * SCORE_BYTES + 4L * from;
            weigh(values, weights, scratch + sumsAt + g * headBytes, to - from);
        }
    }

    private long rowBytes() {
        return (paired ? 2L : 4L) * headDim;
    }

    /** The pool, or, where no loop reads its rows, the scratch after a page was widened to it. */
    private long pages(long page, int rows, long scratch) {
        if (!widened) {
            return page;
        }
        Conversions.bf16ToFloat(page, scratch + pageAt, rows * headDim);
        return scratch + pageAt;
    }

    private void scores(long keys, long query, long scores, int count) {
        if (paired) {
            Bf16Pages.scores(keys, headDim, query, scores, count);
        } else if (straight) {
            F32Pages.scores(keys, headDim, query, scores, count);
        } else {
            AnyPages.scores(keys, headDim, query, scores, count);
        }
    }

    private void weigh(long values, long weights, long sums, int count) {
        if (paired) {
            Bf16Pages.weigh(values, headDim, weights, sums, count);
        } else if (straight) {
            F32Pages.weigh(values, headDim, weights, sums, count);
        } else {
            AnyPages.weigh(values, headDim, weights, sums, count);
        }
    }

    private static void none(long scores, int from, int to) {
        for (int i = from; i < to; i++) {
            ALL.set(Lanes.FLOAT, scores + 4L * i, Float.NEGATIVE_INFINITY);
        }
    }
}
