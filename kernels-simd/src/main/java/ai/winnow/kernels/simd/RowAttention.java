package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * One row over the pages of one key-value head, with all query heads that share it, in fours. Traffic: the pages once.
 *
 * <p>Scratch: the scaled queries and the sums {@code [heads, width]}, the softmax's state of each four heads, the scores of a page
 * {@code [64, 4]}, and, where pages are not read as they are, one of keys and one of values in f32 {@code [64, width]}; heads are
 * filled up to fours and widths to two vectors.
 */
final class RowAttention {

    /** Heads that are computed together. */
    private static final int HEADS = 4;

    private final Attention op;
    private final KvShape shape;
    private final int group;
    private final PageRows rows;
    private final PageTouch touch;
    private final int blocks;

    private final long headBytes;
    private final long sumsAt;
    private final long statesAt;
    private final long scoresAt;
    private final long touchAt;
    private final long keysAt;
    private final long valuesAt;
    private final long bytes;

    RowAttention(Attention op) {
        this(op, op.group());
    }

    /** @param group query heads that are computed together */
    RowAttention(Attention op, int group) {
        this.op = op;
        this.shape = op.shape();
        this.group = group;
        this.rows = PageRows.of(shape);
        this.touch = new PageTouch(shape.pageBytes(), steps());
        this.blocks = (group + HEADS - 1) / HEADS;
        this.headBytes = 4L * rows.width();
        this.sumsAt = Tensor.align(headBytes * blocks * HEADS);
        this.statesAt = 2 * sumsAt;
        this.scoresAt = statesAt + blocks * HeadSoftmax.STATE_BYTES;
        this.touchAt = scoresAt + Tensor.align(4L * (HEADS * KvShape.PAGE_ROWS + COUNT));
        this.keysAt = touchAt + PageTouch.STATE_BYTES;
        this.valuesAt = keysAt + rows.stagedBytes();
        this.bytes = valuesAt + rows.stagedBytes();
    }

    /** Steps of the kernels over a page: of two keys times one vector of a row as it is read, and of one value times two of floats. */
    private int steps() {
        int ofKeys = Math.toIntExact(rows.rowBytes() * KvShape.PAGE_ROWS / (8L * COUNT));
        return ofKeys + KvShape.PAGE_ROWS * rows.width() / (2 * COUNT);
    }

    long scratchBytes() {
        return bytes;
    }

    /**
     * Attends over the cached rows {@code begin} to {@code end}.
     *
     * @param query address of the row's query heads, those of this key-value head
     * @param out address of the same heads of the result
     * @param table address of the first entry of the head's pages
     */
    void attend(
            long query,
            long out,
            MemorySegment keys,
            MemorySegment values,
            long table,
            int begin,
            int end,
            long scratch) {
        start(query, scratch);
        int first = begin / KvShape.PAGE_ROWS;
        int last = (end - 1) / KvShape.PAGE_ROWS;
        readAhead(address(keys, table, first), address(values, table, first), scratch);
        for (int page = first; page <= last; page++) {
            int next = Math.min(page + 1, last);
            touch.start(address(keys, table, next), address(values, table, next), scratch + touchAt);
            int from = Math.max(0, begin - page * KvShape.PAGE_ROWS);
            int to = Math.min(KvShape.PAGE_ROWS, end - page * KvShape.PAGE_ROWS);
            take(address(keys, table, page), address(values, table, page), from, to, scratch);
        }
        finish(out, scratch);
    }

    /** Reads pages that are taken at once. */
    void readAhead(long k, long v, long scratch) {
        touch.all(k, v, scratch + touchAt);
    }

    /** Lets the next call of {@link #take} read these pages. */
    void readNext(long k, long v, long scratch) {
        touch.start(k, v, scratch + touchAt);
    }

    /** Lets it read none but these, which it takes. */
    void readNone(long k, long v, long scratch) {
        touch.start(k, v, scratch + touchAt);
        touch.idle(scratch + touchAt);
    }

    /** Takes the keys {@code from} to {@code to} of a page. */
    void take(long k, long v, int from, int to, long scratch) {
        page(rows.staged(k, to, scratch + keysAt), rows.staged(v, to, scratch + valuesAt), from, to, scratch);
    }

    private long address(MemorySegment pool, long table, int page) {
        long index = ALL.get(INT, table + 4L * page);
        return Memory.address(pool, index * shape.pageBytes(), shape.pageBytes());
    }

    void start(long query, long scratch) {
        for (int g = 0; g < blocks * HEADS; g++) {
            long to = scratch + g * headBytes;
            if (g < group) {
                rows.query(query + 4L * g * shape.headDim(), op.scale() * Exponential2.LOG2_E, to);
            } else {
                Lanes.zero(to, rows.width());
            }
            Lanes.zero(to + sumsAt, rows.width());
        }
        for (int block = 0; block < blocks; block++) {
            HeadSoftmax.start(scratch + statesAt + block * HeadSoftmax.STATE_BYTES);
        }
    }

    /** Rows {@code from} to {@code to} of a page, four heads after the other. */
    private void page(long keys, long values, int from, int to, long scratch) {
        int first = from & -HEADS; // scores come in fours, to be whole vectors
        int count = (to - first + HEADS - 1) & -HEADS;
        long scores = scratch + scoresAt;
        for (int block = 0; block < blocks; block++) {
            long heads = scratch + headBytes * block * HEADS;
            if (block > 0) {
                touch.idle(scratch + touchAt);
            }
            long state = scratch + statesAt + block * HeadSoftmax.STATE_BYTES;
            scores(keys + first * rows.rowBytes(), heads, scores, count / 2, scratch + touchAt);
            none(scores, 0, from - first);
            none(scores, to - first, count);
            HeadSoftmax.piece(scores, HEADS * count, state);
            long weights = scores + 4L * HEADS * (from - first);
            weigh(
                    values + from * rows.rowBytes(),
                    weights,
                    to - from,
                    state + HeadSoftmax.FACTOR,
                    heads + sumsAt,
                    scratch + touchAt);
        }
    }

    private void scores(long keys, long heads, long scores, int pairs, long touching) {
        if (rows.paired()) {
            Bf16Pages.scores(keys, rows.rowBytes(), heads, scores, pairs, touching);
        } else {
            F32Pages.scores(keys, rows.rowBytes(), heads, scores, pairs, touching);
        }
    }

    private void weigh(long values, long weights, int count, long factor, long sums, long touching) {
        long rowBytes = rows.rowBytes();
        for (int at = 0; at < rows.width(); at += 2 * COUNT) {
            if (rows.paired()) {
                Bf16Pages.weigh(values + 2L * at, rowBytes, weights, count, factor, sums + 4L * at, touching);
            } else {
                F32Pages.weigh(values + 4L * at, rowBytes, weights, count, factor, sums + 4L * at, touching);
            }
        }
    }

    private static void none(long scores, int from, int to) {
        for (int i = HEADS * from; i < HEADS * to; i++) {
            ALL.set(FLOAT, scores + 4L * i, Float.NEGATIVE_INFINITY);
        }
    }

    /** Writes the results; zeros if no key was taken. */
    void finish(long out, long scratch) {
        for (int g = 0; g < group; g++) {
            long state = scratch + statesAt + g / HEADS * HeadSoftmax.STATE_BYTES;
            float total = HeadSoftmax.total(state, g % HEADS);
            float share = total == 0 ? 0 : 1 / total;
            rows.result(scratch + sumsAt + g * headBytes, share, out + 4L * g * shape.headDim());
        }
    }
}
