package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * One row over the pages of one key-value head, with all query heads that share it: one, or more in fours. Traffic: the pages
 * once.
 *
 * <p>Scratch: the scaled queries and the sums {@code [heads, width]}, the softmax's state of each four heads, the scores of a page
 * {@code [64, heads]}, for one head a row of zeros and what the last steps read, and, where pages are not read as they are, one of keys
 * and one of values in f32 {@code [64, width]}; heads are filled up to fours and widths to two vectors.
 */
final class RowAttention {

    /** The most heads that are computed together. One head alone takes as many rows in each step. */
    private static final int HEADS = 4;

    // What the steps of one head read, from stepsAt on: four addresses of rows, the weights of the last rows, and
    // factors of one.
    private static final long WEIGHTS = 32;
    private static final long ONES = 48;
    private static final long STEP_BYTES = 64;

    private final Attention op;
    private final KvShape shape;
    private final int group;
    private final PageRows rows;
    private final PageTouch touch;
    private final int heads;
    private final int blocks;

    private final long headBytes;
    private final long sumsAt;
    private final long statesAt;
    private final long scoresAt;
    private final long touchAt;
    private final long stepsAt;
    private final long zerosAt;
    private final long keysAt;
    private final long valuesAt;

    /** Where the scores of all pages are kept, {@code [pages, blocks, 64, heads]}; those of a page take no bytes if they are not. */
    private final long keptAt;

    private final long keptPageBytes;
    private final long bytes;

    RowAttention(Attention op) {
        this(op, op.group());
    }

    /** @param group query heads that are computed together */
    RowAttention(Attention op, int group) {
        this(op, group, false);
    }

    /** @param keeps whether the scores are kept, for {@link #kept} */
    RowAttention(Attention op, int group, boolean keeps) {
        this.op = op;
        this.shape = op.shape();
        this.group = group;
        this.rows = PageRows.of(shape);
        this.heads = group == 1 ? 1 : HEADS;
        this.touch = new PageTouch(shape.pageBytes(), lines());
        this.blocks = (group + heads - 1) / heads;
        this.headBytes = 4L * rows.width();
        this.sumsAt = Tensor.align(headBytes * blocks * heads);
        this.statesAt = 2 * sumsAt;
        this.scoresAt = statesAt + blocks * HeadSoftmax.STATE_BYTES;
        this.touchAt = scoresAt + Tensor.align(4L * (heads * KvShape.PAGE_ROWS + COUNT));
        this.stepsAt = touchAt + PageTouch.STATE_BYTES;
        this.zerosAt = stepsAt + STEP_BYTES;
        this.keysAt = zerosAt + headBytes;
        this.valuesAt = keysAt + rows.stagedBytes();
        this.keptAt = valuesAt + rows.stagedBytes();
        this.keptPageBytes = keeps ? 4L * KvShape.PAGE_ROWS * blocks * heads : 0;
        this.bytes = keptAt + keptPageBytes * shape.pagesPerHead();
    }

    /** What the kernels read ahead over a page: a line for two keys times a vector of their rows, or for the four products of a step of one head. */
    private int lines() {
        int ofKeys = rows.read() == DType.BF16 ? rows.width() / (2 * COUNT) : rows.width() / COUNT;
        return heads == HEADS
                ? KvShape.PAGE_ROWS / 2 * ofKeys + KvShape.PAGE_ROWS * rows.width() / (2 * COUNT)
                : KvShape.PAGE_ROWS * heads / HEADS * (ofKeys + rows.width() / COUNT);
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
            long kept = keptPageBytes > 0 ? scratch + keptAt + keptPageBytes * page : 0;
            take(address(keys, table, page), address(values, table, page), from, to, kept, scratch);
        }
        finish(out, scratch);
    }

    /** Only scores the cached rows {@code begin} to {@code end}, for {@link #kept} and {@link #logOfSum}. */
    void score(long query, MemorySegment keys, long table, int begin, int end, long scratch) {
        start(query, scratch);
        for (int page = begin / KvShape.PAGE_ROWS; page <= (end - 1) / KvShape.PAGE_ROWS; page++) {
            long k = address(keys, table, page);
            int from = Math.max(0, begin - page * KvShape.PAGE_ROWS);
            int to = Math.min(KvShape.PAGE_ROWS, end - page * KvShape.PAGE_ROWS);
            readNone(k, k, scratch);
            page(rows.staged(k, to, scratch + keysAt), 0, from, to, scratch + keptAt + keptPageBytes * page, scratch);
        }
    }

    /** Reads pages that are taken at once. */
    void readAhead(long k, long v, long scratch) {
        touch.all(k, v, scratch + touchAt);
    }

    /** Lets the next call of {@link #take} read these pages. */
    void readNext(long k, long v, long scratch) {
        touch.start(k, v, scratch + touchAt);
    }

    /** Offsets of lines that {@link #take} reads of those to be read next. */
    int linesRead() {
        return touch.steps();
    }

    /** Lets the next call of {@link #take} read lines of the pools at these places, as many as {@link #linesRead}. */
    void readNext(long offsets, MemorySegment keys, MemorySegment values, long scratch) {
        touch.start(offsets, keys.address(), values.address(), scratch + touchAt);
    }

    /** Lets it read none but these, which it takes. */
    void readNone(long k, long v, long scratch) {
        touch.start(k, v, scratch + touchAt);
        touch.idle(scratch + touchAt);
    }

    /** Takes the keys {@code from} to {@code to} of a page. */
    void take(long k, long v, int from, int to, long scratch) {
        take(k, v, from, to, 0, scratch);
    }

    private void take(long k, long v, int from, int to, long kept, long scratch) {
        page(rows.staged(k, to, scratch + keysAt), rows.staged(v, to, scratch + valuesAt), from, to, kept, scratch);
    }

    /** Address of the score that query head {@code g} gave to key {@code key}, in units of log 2; fours of heads lie together, keys of a page behind one another. */
    long kept(int g, int key, long scratch) {
        long row = (long) g / heads * KvShape.PAGE_ROWS + key % KvShape.PAGE_ROWS;
        long page = scratch + keptAt + keptPageBytes * (key / KvShape.PAGE_ROWS);
        return page + 4L * (row * heads + g % heads);
    }

    /** What is subtracted from scores of query head {@code g} to make them logarithms of probabilities, after the last page. */
    float logOfSum(int g, long scratch) {
        long state = scratch + statesAt + (long) g / heads * HeadSoftmax.STATE_BYTES;
        double total = HeadSoftmax.total(state, g % heads, heads);
        return ALL.get(FLOAT, state + 4L * (g % heads)) + (float) (Math.log(total) / Math.log(2));
    }

    /** The greatest score of query head {@code g}, in units of log 2, after the last page. */
    float greatest(int g, long scratch) {
        return ALL.get(FLOAT, scratch + statesAt + (long) g / heads * HeadSoftmax.STATE_BYTES + 4L * (g % heads));
    }

    /** The sum of its weights relative to that one. */
    float total(int g, long scratch) {
        return HeadSoftmax.total(scratch + statesAt + (long) g / heads * HeadSoftmax.STATE_BYTES, g % heads, heads);
    }

    private long address(MemorySegment pool, long table, int page) {
        long index = ALL.get(INT, table + 4L * page);
        return Memory.address(pool, index * shape.pageBytes(), shape.pageBytes());
    }

    void start(long query, long scratch) {
        for (int g = 0; g < blocks * heads; g++) {
            long to = scratch + g * headBytes;
            if (g < group) {
                rows.query(query + 4L * g * shape.headDim(), op.scale() * Exponential2.LOG2_E, to);
            } else {
                Lanes.zero(to, rows.width());
            }
            Lanes.zero(to + sumsAt, rows.width());
        }
        Lanes.zero(scratch + zerosAt, rows.width());
        for (int block = 0; block < blocks; block++) {
            HeadSoftmax.start(scratch + statesAt + block * HeadSoftmax.STATE_BYTES);
        }
    }

    /** Rows {@code from} to {@code to} of a page, four heads after the other; values at 0 are left alone. */
    private void page(long keys, long values, int from, int to, long kept, long scratch) {
        int unit = 4 * HEADS / heads; // scores come in whole vectors
        int first = from & -unit;
        int count = (to - first + unit - 1) & -unit;
        long scores = scratch + scoresAt;
        for (int block = 0; block < blocks; block++) {
            long queries = scratch + headBytes * block * heads;
            if (block > 0) {
                touch.idle(scratch + touchAt);
            }
            long state = scratch + statesAt + block * HeadSoftmax.STATE_BYTES;
            scores(keys + first * rows.rowBytes(), queries, scores, count, scratch + touchAt);
            if (rows.read() == DType.I8) {
                Int8Pages.scale(scores, keys + shape.scaleAt(0, first), heads, heads * count);
            }
            none(scores, 0, from - first);
            none(scores, to - first, count);
            if (kept != 0) {
                long rowBytes = 4L * heads;
                long at = kept + rowBytes * ((long) block * KvShape.PAGE_ROWS + from);
                Lanes.copy(scores + rowBytes * (from - first), at, rowBytes * (to - from));
            }
            HeadSoftmax.piece(scores, heads * count, heads, state);
            if (values == 0) {
                continue;
            }
            if (rows.read() == DType.I8) {
                Int8Pages.scale(scores, values + shape.scaleAt(0, first), heads, heads * count);
            }
            long weights = scores + 4L * heads * (from - first);
            long factor = state + HeadSoftmax.FACTOR;
            if (heads == HEADS) {
                weigh(values + from * rows.rowBytes(), weights, to - from, factor, queries + sumsAt, scratch + touchAt);
            } else {
                singleWeigh(values + from * rows.rowBytes(), weights, to - from, factor, scratch);
            }
        }
    }

    private void scores(long keys, long queries, long scores, int count, long touching) {
        long rowBytes = rows.rowBytes();
        if (heads == HEADS) {
            switch (rows.read()) {
                case BF16 -> Bf16Pages.scores(keys, rowBytes, queries, scores, count / 2, touching);
                case I8 -> Int8Pages.scores(keys, rowBytes, queries, scores, count / 2, touching);
                default -> F32Pages.scores(keys, rowBytes, queries, scores, count / 2, touching);
            }
        } else {
            int steps = count / HEADS;
            switch (rows.read()) {
                case BF16 -> Bf16Pages.singleScores(keys, rowBytes, queries, scores, steps, touching);
                case I8 -> Int8Pages.singleScores(keys, rowBytes, queries, scores, steps, touching);
                default -> F32Pages.singleScores(keys, rowBytes, queries, scores, steps, touching);
            }
        }
    }

    private void weigh(long values, long weights, int count, long factor, long sums, long touching) {
        long rowBytes = rows.rowBytes();
        for (int at = 0; at < rows.width(); at += 2 * COUNT) {
            long v = values + rows.read().bytes(at);
            long y = sums + 4L * at;
            switch (rows.read()) {
                case BF16 -> Bf16Pages.weigh(v, rowBytes, weights, count, factor, y, touching);
                case I8 -> Int8Pages.weigh(v, rowBytes, weights, count, factor, y, touching);
                default -> F32Pages.weigh(v, rowBytes, weights, count, factor, y, touching);
            }
        }
    }

    /** The same of one head; what the last rows lack to a step is zeros, since values that are not seen may be NaN. */
    private void singleWeigh(long values, long weights, int count, long factor, long scratch) {
        int whole = count / HEADS;
        int rest = count % HEADS;
        long step = scratch + stepsAt;
        rows(values, HEADS, scratch);
        singleWeigh(weights, whole, factor, scratch);
        if (rest > 0) {
            rows(values + (long) whole * HEADS * rows.rowBytes(), rest, scratch);
            for (int i = 0; i < HEADS; i++) {
                float weight = i < rest ? ALL.get(FLOAT, weights + 4L * (HEADS * whole + i)) : 0;
                ALL.set(FLOAT, step + WEIGHTS + 4L * i, weight);
                ALL.set(FLOAT, step + ONES + 4L * i, 1f);
            }
            touch.idle(scratch + touchAt);
            singleWeigh(step + WEIGHTS, 1, step + ONES, scratch);
        }
    }

    /** The addresses of the rows that a first step reads: the first {@code count} from {@code values} on, then zeros. */
    private void rows(long values, int count, long scratch) {
        for (int i = 0; i < HEADS; i++) {
            long row = i < count ? values + i * rows.rowBytes() : scratch + zerosAt;
            ALL.set(LONG, scratch + stepsAt + 8L * i, row);
        }
    }

    private void singleWeigh(long weights, int steps, long factor, long scratch) {
        long from = scratch + stepsAt;
        long step = HEADS * rows.rowBytes();
        long touching = scratch + touchAt;
        for (int d = 0; d < rows.width(); d += 2 * COUNT) {
            long at = rows.read().bytes(d);
            long y = scratch + sumsAt + 4L * d;
            switch (rows.read()) {
                case BF16 -> Bf16Pages.singleWeigh(from, at, step, weights, steps, factor, y, touching);
                case I8 -> Int8Pages.singleWeigh(from, at, step, weights, steps, factor, y, touching);
                default -> F32Pages.singleWeigh(from, at, step, weights, steps, factor, y, touching);
            }
        }
    }

    private void none(long scores, int from, int to) {
        for (int i = heads * from; i < heads * to; i++) {
            ALL.set(FLOAT, scores + 4L * i, Float.NEGATIVE_INFINITY);
        }
    }

    /** Writes the results; zeros if no key was taken. */
    void finish(long out, long scratch) {
        for (int g = 0; g < group; g++) {
            long state = scratch + statesAt + g / heads * HeadSoftmax.STATE_BYTES;
            float total = HeadSoftmax.total(state, g % heads, heads);
            float share = total == 0 ? 0 : 1 / total;
            rows.result(scratch + sumsAt + g * headBytes, share, out + 4L * g * shape.headDim());
        }
    }
}
