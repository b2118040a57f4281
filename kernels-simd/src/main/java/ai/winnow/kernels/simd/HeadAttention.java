package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * One row's query heads of one key-value head over a stretch of its pages: scores, softmax and weighted sums page by page, four heads at
 * a time, so that a key or a value is loaded once for four heads, and from memory once for all. Two or three heads are filled up to four.
 *
 * <p>The state of a stretch, for each set of heads: {@link Softmax}'s state and the sums of four heads. Scratch: a query row, and for each
 * set the queries and the scores of a page; and one page in f32 where there is no loop for the pages as they are.
 */
final class HeadAttention {

    /** Heads that are computed together. */
    private static final int SET = 4;

    /** The scores of a page, with room for a whole vector behind the last. */
    private static final long SCORE_BYTES = 4L * (SET * KvShape.PAGE_ROWS + 2 * 16);

    /** The loops that read rows of a page. */
    private enum Loops {
        F32,
        BF16,
        ANY
    }

    private final Attention op;
    private final KvShape shape;
    private final int headDim;
    private final Loops loops;
    private final boolean widened;
    private final int sets;

    private final long headBytes;
    private final long setBytes;
    private final long queriesAt;
    private final long scoresAt;
    private final long sinkAt;
    private final long pageAt;
    private final long scratchBytes;

    HeadAttention(Attention op) {
        this.op = op;
        this.shape = op.shape();
        this.headDim = shape.headDim();
        this.sets = (op.group() + SET - 1) / SET;
        if (shape.dtype() == DType.BF16 && Bf16Pages.takes(headDim)) {
            this.loops = Loops.BF16;
        } else {
            this.loops = F32Pages.takes(headDim) ? Loops.F32 : Loops.ANY;
        }
        this.widened = loops != Loops.BF16 && shape.dtype() != DType.F32;
        this.headBytes = Tensor.align(4L * headDim);
        this.setBytes = Softmax.STATE_BYTES + SET * headBytes;
        this.queriesAt = headBytes;
        this.scoresAt = queriesAt + (long) sets * SET * headBytes;
        this.sinkAt = scoresAt + sets * SCORE_BYTES;
        this.pageAt = sinkAt + Tensor.ALIGNMENT;
        this.scratchBytes = pageAt + (widened ? 4L * KvShape.PAGE_ROWS * headDim : 0);
    }

    String name() {
        return (shape.dtype() == DType.F32 ? "F32" : "Bf16") + (loops == Loops.ANY ? "AnySize" : "");
    }

    /** Bytes of the state of a stretch. */
    long stateBytes() {
        return sets * setBytes;
    }

    /** Bytes of scratch of a thread. */
    long scratchBytes() {
        return scratchBytes;
    }

    /** Heads that a set is computed as: one, or four of which some may be no heads. */
    private int width(int set) {
        return op.group() - SET * set == 1 ? 1 : SET;
    }

    /** Heads of a set. */
    private int count(int set) {
        return Math.min(SET, op.group() - SET * set);
    }

    private long queryAt(int row, int head, int set) {
        return 4 * ((long) row * op.queryHeads() + (long) head * op.group() + SET * (long) set) * headDim;
    }

    /** The state of {@code row} over the cached rows {@code begin} to {@code end} of {@code head}. */
    void attend(
            Operands operands,
            int row,
            int head,
            int begin,
            int end,
            MemorySegment scratch,
            long scratchAt,
            long stateAt) {
        for (int set = 0; set < sets; set++) {
            queries(operands.in(0), queryAt(row, head, set), set, scratch, scratchAt);
            Softmax.start(scratch, stateAt + set * setBytes);
            Lanes.zero(scratch, stateAt + set * setBytes + Softmax.STATE_BYTES, (int) (width(set) * headBytes / 4));
        }
        int sequence = operands.in(1).get(Lanes.INT, 4L * row);
        int slot = operands.in(3).get(Lanes.INT, 4L * sequence);
        long entry = shape.tableIndex(slot, op.layer(), head);
        int last = (end - 1) / KvShape.PAGE_ROWS;
        for (int p = begin / KvShape.PAGE_ROWS; p <= last; p++) {
            long page = page(operands, entry + p);
            long next = page(operands, entry + Math.min(p + 1, last));
            int from = Math.max(0, begin - p * KvShape.PAGE_ROWS);
            int to = Math.min(KvShape.PAGE_ROWS, end - p * KvShape.PAGE_ROWS);
            page(operands, page, next, from, to, scratch, scratchAt, stateAt);
        }
    }

    /** Where a page begins in its pool. */
    private long page(Operands operands, long entry) {
        return operands.in(6).get(Lanes.INT, 4 * entry) * shape.pageBytes();
    }

    /** The queries of a set, scaled, as the loops read them: [vector][head][lane], or rows. What is no head is zero. */
    private void queries(MemorySegment query, long queryAt, int set, MemorySegment scratch, long scratchAt) {
        long rowAt = scratchAt;
        long to = scratchAt + queriesAt + (long) set * SET * headBytes;
        float scale = op.scale() * Softmax.LOG2_E;
        int width = width(set);
        for (int h = 0; h < width; h++) {
            if (h >= count(set)) {
                Lanes.zero(scratch, rowAt, headDim);
            } else if (loops == Loops.BF16) {
                RowOrder.pair(query, queryAt + 4L * h * headDim, headDim, scale, scratch, rowAt);
            } else {
                Elementwise.scale(query, queryAt + 4L * h * headDim, scale, scratch, rowAt, headDim);
            }
            if (loops == Loops.ANY) {
                MemorySegment.copy(scratch, rowAt, scratch, to + h * headBytes, 4L * headDim);
            } else {
                for (int d = 0; d < headDim; d += COUNT) {
                    FloatVector.fromMemorySegment(F, scratch, rowAt + 4L * d, LE)
                            .intoMemorySegment(scratch, to + 4L * (width * d + h * COUNT), LE);
                }
            }
        }
    }

    /** Rows {@code from} to {@code to} of a page, for all query heads. */
    private void page(
            Operands operands,
            long page,
            long next,
            int from,
            int to,
            MemorySegment scratch,
            long scratchAt,
            long stateAt) {
        MemorySegment keys = operands.in(4);
        MemorySegment values = operands.in(5);
        int start = from & -8; // scores come in up to eights
        int touched = 0;
        MemorySegment rows = rows(keys, page, to, scratch, scratchAt);
        long rowsAt = widened ? scratchAt + pageAt : page;
        for (int set = 0; set < sets; set++) {
            long scores = scratchAt + scoresAt + set * SCORE_BYTES;
            int width = width(set);
            int padded = (to * width + COUNT - 1) / COUNT * COUNT;
            touched += scores(
                    rows,
                    rowsAt + start * rowBytes(),
                    set,
                    scratch,
                    scratchAt,
                    scores + 4L * width * start,
                    to - start,
                    values,
                    page);
            none(scratch, scores, 0, from * width);
            none(scratch, scores, to * width, padded);
            Softmax.piece(scratch, scores, padded, width, scratch, stateAt + set * setBytes);
        }
        rows = rows(values, page, to, scratch, scratchAt);
        for (int set = 0; set < sets; set++) {
            long weights = scratchAt + scoresAt + set * SCORE_BYTES + 4L * width(set) * from;
            long state = stateAt + set * setBytes;
            touched += weigh(rows, rowsAt + from * rowBytes(), set, scratch, weights, state, to - from, keys, next);
        }
        scratch.set(Lanes.INT, scratchAt + sinkAt, touched);
    }

    private long rowBytes() {
        return (loops == Loops.BF16 ? 2L : 4L) * headDim;
    }

    /** The pool, or, where no loop reads its rows, the scratch after a page was widened to it. */
    private MemorySegment rows(MemorySegment pool, long at, int count, MemorySegment scratch, long scratchAt) {
        if (!widened) {
            return pool;
        }
        Conversions.bf16ToFloat(pool, at, scratch, scratchAt + pageAt, count * headDim);
        return scratch;
    }

    private int scores(
            MemorySegment k,
            long kAt,
            int set,
            MemorySegment scratch,
            long scratchAt,
            long s,
            int count,
            MemorySegment next,
            long nextAt) {
        long q = scratchAt + queriesAt + (long) set * SET * headBytes;
        boolean one = width(set) == 1;
        return switch (loops) {
            case F32 ->
                one
                        ? F32Pages.scoresOne(k, kAt, headDim, scratch, q, scratch, s, count, next, nextAt)
                        : F32Pages.scoresFour(k, kAt, headDim, scratch, q, scratch, s, count, next, nextAt);
            case BF16 ->
                one
                        ? Bf16Pages.scoresOne(k, kAt, headDim, scratch, q, scratch, s, count, next, nextAt)
                        : Bf16Pages.scoresFour(k, kAt, headDim, scratch, q, scratch, s, count, next, nextAt);
            case ANY -> AnyPages.scores(k, kAt, headDim, scratch, q, headBytes, width(set), scratch, s, count);
        };
    }

    private int weigh(
            MemorySegment v,
            long vAt,
            int set,
            MemorySegment scratch,
            long p,
            long state,
            int count,
            MemorySegment next,
            long nextAt) {
        long factors = Softmax.factorsAt(state);
        long y = state + Softmax.STATE_BYTES;
        boolean one = width(set) == 1;
        return switch (loops) {
            case F32 ->
                one
                        ? F32Pages.weighOne(v, vAt, headDim, scratch, p, factors, scratch, y, count, next, nextAt)
                        : F32Pages.weighFour(
                                v, vAt, headDim, scratch, p, factors, scratch, y, headBytes, count, next, nextAt);
            case BF16 ->
                one
                        ? Bf16Pages.weighOne(v, vAt, headDim, scratch, p, factors, scratch, y, count, next, nextAt)
                        : Bf16Pages.weighFour(
                                v, vAt, headDim, scratch, p, factors, scratch, y, headBytes, count, next, nextAt);
            case ANY -> AnyPages.weigh(v, vAt, headDim, scratch, p, factors, width(set), scratch, y, headBytes, count);
        };
    }

    /** Makes one state of two: the second becomes garbage. */
    void merge(MemorySegment scratch, long stateAt, long secondAt) {
        for (int set = 0; set < sets; set++) {
            long first = stateAt + set * setBytes;
            long second = secondAt + set * setBytes;
            Softmax.merge(scratch, first, second);
            for (int h = 0; h < count(set); h++) {
                long to = first + Softmax.STATE_BYTES + h * headBytes;
                long from = second + Softmax.STATE_BYTES + h * headBytes;
                float factor = scratch.get(FLOAT, Softmax.factorsAt(first) + 4L * h);
                Elementwise.scale(scratch, to, factor, scratch, to, headDim);
                factor = scratch.get(FLOAT, Softmax.factorsAt(second) + 4L * h);
                Elementwise.scale(scratch, from, factor, scratch, from, headDim);
                Elementwise.add(scratch, to, scratch, from, scratch, to, headDim);
            }
        }
    }

    /** Writes the results of {@code row}; the state becomes garbage. */
    void finish(Operands operands, int row, int head, MemorySegment scratch, long stateAt) {
        for (int set = 0; set < sets; set++) {
            long state = stateAt + set * setBytes;
            Softmax.finish(scratch, state, width(set));
            for (int h = 0; h < count(set); h++) {
                long sums = state + Softmax.STATE_BYTES + h * headBytes;
                float total = scratch.get(FLOAT, Softmax.factorsAt(state) + 4L * h);
                if (loops == Loops.BF16) {
                    ColumnOrder.finishPaired(scratch, sums, 0, headDim, headDim, 1f);
                }
                long to = queryAt(row, head, set) + 4L * h * headDim;
                Elementwise.scale(scratch, sums, 1 / total, operands.out(0), to, headDim);
            }
        }
    }

    private static void none(MemorySegment scores, long scoresAt, int from, int to) {
        for (int i = from; i < to; i++) {
            scores.set(FLOAT, scoresAt + 4L * i, Float.NEGATIVE_INFINITY);
        }
    }
}
