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

    private static final int BANDS = 5;

    private final Attention op;
    private final KvShape shape;
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
    private final long touchAt;
    private final long bytes;

    TileAttention(Attention op) {
        this.op = op;
        this.shape = op.shape();
        this.pages = PageRows.of(shape);
        this.touch = new PageTouch(shape.pageBytes(), 0);
        this.bandRows = Math.max(1, BAND / op.group());
        this.bandPairs = bandRows * op.group();
        int pairs = BANDS * bandPairs;
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
        this.touchAt = zerosAt + Tensor.ALIGNMENT;
        this.bytes = touchAt + PageTouch.STATE_BYTES;
    }

    /** Whether heads of this size are computed here. */
    static boolean takes(int headDim) {
        return headDim <= GemmTile.DEPTH;
    }

    /** Rows that are computed together. */
    int rows() {
        return BANDS * bandRows;
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
        for (int page = begin(end) / KvShape.PAGE_ROWS; page <= last; page++) {
            long at = ALL.get(INT, table + 4L * page) * shape.pageBytes();
            long k = Memory.address(keys, at, shape.pageBytes());
            long v = Memory.address(values, at, shape.pageBytes());
            touch.all(k, v, scratch + touchAt);
            int start = page * KvShape.PAGE_ROWS;
            pack(k, v, Math.min(KvShape.PAGE_ROWS, end + rows - 1 - start), scratch);
            for (int row = 0; row < rows; row += bandRows) {
                band(row, Math.min(bandRows, rows - row), end + row - start, scratch);
            }
        }
        finish(out, rowBytes, rows, scratch);
    }

    /** Where what a row sees begins, if it ends at {@code end}. */
    private int begin(int end) {
        return op.window() > 0 ? Math.max(0, end - op.window()) : 0;
    }

    private void start(long query, long rowBytes, int rows, long scratch) {
        int group = op.group();
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

    /** A band of rows over the packed page; {@code end} is where in the page what its first row sees ends. */
    private void band(int row, int rows, int end, long scratch) {
        int from = Math.max(0, begin(end, 0));
        int to = Math.min(KvShape.PAGE_ROWS, end + rows - 1);
        if (from >= to) {
            return;
        }
        int pair = row * op.group();
        int pairs = rows * op.group();
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
            for (int p = r * op.group(); p < (r + 1) * op.group(); p++) {
                none(scores + p * A_PITCH, first, Math.min(last, begin(end, r)));
                none(scores + p * A_PITCH, Math.max(first, end + r), last);
            }
        }
        softmax(scores + 4L * first, last - first, pair, pairs, scratch);
        TileSoftmax.scale(sums, sumPitch, pairs, pages.width(), scratch + factorsAt);
        weigh(rows, end, scratch, sums);
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

    /** Where in the page what row {@code row} of a band sees begins; may lie before it. */
    private int begin(int end, int row) {
        return op.window() > 0 ? end + row - op.window() : 0;
    }

    private static void none(long scores, int from, int to) {
        for (int key = from; key < to; key++) {
            ALL.set(FLOAT, scores + 4L * key, Float.NEGATIVE_INFINITY);
        }
    }

    private void weigh(int rows, int end, long scratch, long sums) {
        int group = op.group();
        long weights = scratch + scoresAt;
        int commonFrom = Math.max(0, begin(end, rows - 1));
        int commonTo = Math.min(KvShape.PAGE_ROWS, end);
        boolean any = commonFrom < commonTo;
        if (any) {
            weigh(commonFrom, commonTo, weights, sums, rows * group, scratch);
        }
        for (int r = 0; r < rows; r++) {
            int from = Math.max(0, begin(end, r));
            int to = Math.min(KvShape.PAGE_ROWS, end + r);
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

    private void finish(long out, long rowBytes, int rows, long scratch) {
        int group = op.group();
        for (int pair = 0; pair < rows * group; pair++) {
            long to = out + pair / group * rowBytes + 4L * (pair % group) * shape.headDim();
            float share = 1 / TileSoftmax.total(scratch + totalsAt, pair);
            Elementwise.scale(scratch + sumsAt + pair * sumPitch, share, to, shape.headDim());
        }
    }
}
