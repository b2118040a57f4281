package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.A_PITCH;
import static ai.winnow.kernels.simd.GemmTile.VECTOR;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * Several rows of one sequence over the pages of one key-value head, as matrix products (Dao 2023): a page is packed once, its keys
 * transposed, and serves all rows and query heads. Traffic: the pages once.
 *
 * <p>The (row, query head) pairs are taken in bands, each small enough for its scores of a page to stay in L1. Scores of keys that a row
 * does not see become negative infinity. Values are multiplied only where all rows of a band see them, and for the rest row by row: a
 * weight of zero times NaN would not be zero.
 */
final class TileAttention {

    /** Pairs of a band, if a row has no more. */
    private static final int BAND = 48;

    /** Bands that share a packed page, if the caller has as many rows. */
    private static final int BANDS = 5;

    private final Attention op;
    private final KvShape shape;
    private final int group;
    private final int mostRows;
    private final PageRows pages;
    private final PageTouch touch;
    private final int bandRows;
    private final int bandPairs;

    private final long sumPitch;
    private final long sumsAt;
    private final long scoresAt;
    private final long keysAt;
    private final long valuesAt;
    private final long stagedAt;
    private final long totalsAt;
    private final long greatestAt;
    private final long factorsAt;
    private final long zerosAt;
    private final long seenAt;
    private final long touchAt;
    private final long bytes;

    /** As many rows as fit the caches. */
    TileAttention(Attention op) {
        this(op, op.group(), BANDS * bandRows(op.group()));
    }

    /**
     * @param group query heads that are computed together
     * @param rows the most rows that are
     */
    TileAttention(Attention op, int group, int rows) {
        this.op = op;
        this.shape = op.shape();
        this.group = group;
        this.mostRows = rows;
        this.pages = PageRows.of(shape);
        this.touch = new PageTouch(shape.pageBytes(), 0);
        this.bandRows = bandRows(group);
        this.bandPairs = bandRows * group;
        int pairs = rows * group;
        long packedBytes = 4L * KvShape.PAGE_ROWS * pages.width();
        this.sumPitch = 4L * pages.width() + Tensor.ALIGNMENT; // not a power of two
        this.sumsAt = pairs * A_PITCH;
        this.scoresAt = sumsAt + pairs * sumPitch;
        this.keysAt = scoresAt + bandPairs * A_PITCH;
        this.valuesAt = keysAt + packedBytes;
        this.stagedAt = valuesAt + packedBytes;
        this.totalsAt = stagedAt + packedBytes;
        this.greatestAt = totalsAt + VECTOR * pairs;
        this.factorsAt = greatestAt + Tensor.align(4L * pairs);
        this.zerosAt = factorsAt + Tensor.align(4L * (bandPairs + COUNT));
        this.seenAt = zerosAt + Tensor.ALIGNMENT;
        this.touchAt = seenAt + Tensor.align(8L * rows);
        this.bytes = touchAt + PageTouch.STATE_BYTES;
    }

    private static int bandRows(int group) {
        return Math.max(1, BAND / group);
    }

    /** The most rows of {@code group} query heads whose sums still stay in the second cache. */
    static int mostRows(int group) {
        return (BANDS + 1) * bandRows(group);
    }

    /** Whether heads of this size are computed here. */
    static boolean takes(int headDim) {
        return headDim <= GemmTile.DEPTH;
    }

    /** Rows that are computed together. */
    int rows() {
        return mostRows;
    }

    long scratchBytes() {
        return bytes;
    }

    /**
     * Attends with {@code rows} rows.
     *
     * @param query address of the first row's query heads, those of this key-value head; rows lie {@code rowBytes} apart
     * @param out address of the same heads of the result
     * @param table address of the first entry of the head's pages
     * @param end where what the first row sees ends; each other row sees one more
     */
    void attend(
            long query,
            long out,
            long rowBytes,
            int rows,
            MemorySegment keys,
            MemorySegment values,
            long table,
            int end,
            long scratch) {
        start(query, rowBytes, rows, scratch);
        int last = (end + rows - 2) / KvShape.PAGE_ROWS;
        for (int page = Math.max(0, begin(end)) / KvShape.PAGE_ROWS; page <= last; page++) {
            long at = ALL.get(INT, table + 4L * page) * shape.pageBytes();
            long k = Memory.address(keys, at, shape.pageBytes());
            long v = Memory.address(values, at, shape.pageBytes());
            whole(k, v, page, rows, end, scratch);
        }
        finish(out, rowBytes, rows, scratch);
    }

    /** Takes what the rows see of page {@code page} of the head; the first sees up to {@code end}, each other one more. */
    void whole(long k, long v, int page, int rows, int end, long scratch) {
        touch.all(k, v, scratch + touchAt);
        int start = page * KvShape.PAGE_ROWS;
        for (int row = 0; row < rows; row++) {
            int to = end + row - start;
            see(row, Math.max(0, begin(to)), Math.min(KvShape.PAGE_ROWS, to), scratch);
        }
        take(k, v, Math.min(KvShape.PAGE_ROWS, end + rows - 1 - start), rows, scratch);
    }

    /** Row {@code row} sees the keys {@code from} to {@code to} of the next page. Neither falls from row to row. */
    void see(int row, int from, int to, long scratch) {
        ALL.set(INT, scratch + seenAt + 8L * row, from);
        ALL.set(INT, scratch + seenAt + 8L * row + 4, to);
    }

    private int from(int row, long scratch) {
        return ALL.get(INT, scratch + seenAt + 8L * row);
    }

    private int to(int row, long scratch) {
        return ALL.get(INT, scratch + seenAt + 8L * row + 4);
    }

    /** Takes a page of {@code count} keys, of which the rows see what {@link #see} was told. */
    void take(long k, long v, int count, int rows, long scratch) {
        pack(k, v, count, scratch);
        for (int row = 0; row < rows; row += bandRows) {
            band(row, Math.min(bandRows, rows - row), scratch);
        }
    }

    /** Where what a row sees begins, if it ends at {@code end}. */
    private int begin(int end) {
        return op.window() > 0 ? end - op.window() : 0;
    }

    void start(long query, long rowBytes, int rows, long scratch) {
        for (int pair = 0; pair < rows * group; pair++) {
            long from = query + pair / group * rowBytes + 4L * (pair % group) * shape.headDim();
            Elementwise.scale(from, op.scale() * Exponential2.LOG2_E, scratch + pair * A_PITCH, shape.headDim());
            Lanes.zero(scratch + sumsAt + pair * sumPitch, pages.width());
        }
        TileSoftmax.start(scratch + greatestAt, scratch + totalsAt, rows * group);
        Lanes.zero(scratch + zerosAt, COUNT);
    }

    /** Keys as panels {@code [headDim, WIDTH keys]}, values as panels {@code [64, WIDTH]}. */
    private void pack(long k, long v, int count, long scratch) {
        boolean widened = !pages.direct() || pages.paired();
        long staged = scratch + stagedAt;
        int width = pages.width();
        if (widened) {
            pages.widen(k, count, staged);
        }
        PagePack.transpose(widened ? staged : k, width, (count + WIDTH - 1) / WIDTH, scratch + keysAt);
        if (widened) {
            pages.widen(v, count, staged);
        }
        PagePack.panels(widened ? staged : v, width, count, scratch + valuesAt);
    }

    /** A band of rows over the packed page. */
    private void band(int row, int rows, long scratch) {
        int from = from(row, scratch);
        int to = to(row + rows - 1, scratch);
        if (from >= to) {
            return;
        }
        int pair = row * group;
        int pairs = rows * group;
        long scores = scratch + scoresAt;
        long sums = scratch + sumsAt + pair * sumPitch;
        int first = from / WIDTH * WIDTH;
        int last = (to + WIDTH - 1) / WIDTH * WIDTH;
        TileSoftmax.zero(scores + 4L * first, pairs, last - first);
        for (int panel = first; panel < last; panel += WIDTH) {
            long packed = scratch + keysAt + 4L * panel * pages.width();
            multiply(packed, shape.headDim(), scratch + pair * A_PITCH, scores + 4L * panel, A_PITCH, pairs);
        }
        for (int r = 0; r < rows; r++) {
            for (int p = r * group; p < (r + 1) * group; p++) {
                none(scores + p * A_PITCH, first, Math.min(last, from(row + r, scratch)));
                none(scores + p * A_PITCH, Math.max(first, to(row + r, scratch)), last);
            }
        }
        softmax(scores + 4L * first, last - first, pair, pairs, scratch);
        TileSoftmax.scale(sums, sumPitch, pairs, pages.width(), scratch + factorsAt);
        weigh(row, rows, scratch, sums);
    }

    /** Scores of {@code pairs} pairs from {@code pair} on to weights. */
    private void softmax(long scores, int width, int pair, int pairs, long scratch) {
        long greatest = scratch + greatestAt + 4L * pair;
        long factors = scratch + factorsAt;
        TileSoftmax.greatest(scores, pairs, width, greatest, factors);
        Exponential2.of(factors, (pairs + COUNT - 1) / COUNT * COUNT, scratch + zerosAt);
        Exponential2.ofRows(scores, A_PITCH, pairs, width, greatest);
        TileSoftmax.sum(scores, pairs, width, factors, scratch + totalsAt + VECTOR * pair);
    }

    private static void none(long scores, int from, int to) {
        for (int key = from; key < to; key++) {
            ALL.set(FLOAT, scores + 4L * key, Float.NEGATIVE_INFINITY);
        }
    }

    private void weigh(int row, int rows, long scratch, long sums) {
        long weights = scratch + scoresAt;
        int commonFrom = from(row + rows - 1, scratch);
        int commonTo = to(row, scratch);
        boolean any = commonFrom < commonTo;
        if (any) {
            weigh(commonFrom, commonTo, weights, sums, rows * group, scratch);
        }
        for (int r = 0; r < rows; r++) {
            int from = from(row + r, scratch);
            int to = to(row + r, scratch);
            long rowWeights = weights + A_PITCH * r * group;
            long rowSums = sums + sumPitch * r * group;
            weigh(from, any ? commonFrom : to, rowWeights, rowSums, group, scratch);
            weigh(any ? commonTo : to, to, rowWeights, rowSums, group, scratch);
        }
    }

    /** sums += weights * values, of the values {@code from} to {@code to} of the page. */
    private void weigh(int from, int to, long weights, long sums, int pairs, long scratch) {
        if (from >= to) {
            return;
        }
        for (int d = 0; d < pages.width(); d += WIDTH) {
            long packed = scratch + valuesAt + 4L * d * KvShape.PAGE_ROWS + 2 * VECTOR * from;
            multiply(packed, to - from, weights + 4L * from, sums + 4L * d, sumPitch, pairs);
        }
    }

    private static void multiply(long b, int depth, long a, long c, long cPitch, int rows) {
        for (int row = 0; row < rows; ) {
            int height = GemmTile.rows(rows - row);
            GemmTile.run(height, b, depth, a + row * A_PITCH, c + row * cPitch, cPitch);
            row += height;
        }
    }

    /** Writes the results; zeros for a row that saw no key. */
    void finish(long out, long rowBytes, int rows, long scratch) {
        for (int pair = 0; pair < rows * group; pair++) {
            long to = out + pair / group * rowBytes + 4L * (pair % group) * shape.headDim();
            float total = TileSoftmax.total(scratch + totalsAt, pair);
            float share = total == 0 ? 0 : 1 / total;
            Elementwise.scale(scratch + sumsAt + pair * sumPitch, share, to, shape.headDim());
        }
    }
}
