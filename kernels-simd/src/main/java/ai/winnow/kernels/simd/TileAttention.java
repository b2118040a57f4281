package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.AttentionTile.SCORE_PITCH;
import static ai.winnow.kernels.simd.AttentionTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.TileSoftmax.NONE;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * Many rows of a sequence, all query heads of one key-value head, as products of tiles (Dao, FlashAttention-2, 2023): the heads of a group are
 * rows of a tile beside one another. Pages are the outer loop, so that a page is widened and packed once for all tiles of a task; the sums of all
 * tiles stay in L2 meanwhile. Multiplies per score of a tile: {@code 2 * headDim}; what lies above the diagonal is computed in the tile that it crosses.
 */
final class TileAttention {

    private static final int PAGE = KvShape.PAGE_ROWS;

    /** Rows of a tile that are aimed at, (token, head) pairs. */
    private static final int TILE_ROWS = 64;

    /** Tiles of a task: what a page is packed for. */
    private static final int TILES = 8;

    private final Attention op;
    private final KvShape shape;
    private final int headDim;

    /** Tokens of a tile: a power of two, at most a page. */
    private final int tokens;

    /** Rows of a tile, filled up to what the register tiles take. */
    private final int rows;

    private final long queryPitch;
    private final long sumPitch;
    private final int panels;

    private final long queriesAt;
    private final long sumsAt;
    private final long maximaAt;
    private final long totalsAt;
    private final long factorsAt;
    private final long scoresAt;
    private final long keysAt;
    private final long valuesAt;
    private final long pageAt;
    private final long turnedAt;
    private final long turnAt;
    private final long scratchBytes;

    TileAttention(Attention op) {
        this.op = op;
        this.shape = op.shape();
        this.headDim = shape.headDim();
        this.tokens = Math.clamp(Integer.highestOneBit(Math.max(1, TILE_ROWS / op.group())), 1, PAGE);
        this.rows = Math.max(4, (tokens * op.group() + 1) / 2 * 2);
        this.panels = (headDim + WIDTH - 1) / WIDTH;
        this.queryPitch = 4L * (headDim + 16);
        this.sumPitch = 4L * (panels * WIDTH + 16);
        long all = (long) rows * TILES;
        this.queriesAt = 0;
        this.sumsAt = Tensor.align(queriesAt + all * queryPitch);
        this.maximaAt = Tensor.align(sumsAt + all * sumPitch);
        this.totalsAt = Tensor.align(maximaAt + 4 * (all + COUNT));
        this.factorsAt = Tensor.align(totalsAt + 4 * (all + COUNT));
        this.scoresAt = Tensor.align(factorsAt + 4L * (rows + COUNT));
        this.keysAt = Tensor.align(scoresAt + rows * SCORE_PITCH);
        this.valuesAt = keysAt + 4L * PAGE * headDim;
        this.pageAt = valuesAt + 4L * PAGE * panels * WIDTH;
        this.turnedAt = pageAt + 4L * PAGE * headDim;
        this.turnAt = turnedAt + 4L * PAGE * headDim;
        this.scratchBytes = turnAt + Transposition.SCRATCH_BYTES;
    }

    /** Bytes of scratch of a thread. */
    long scratchBytes() {
        return scratchBytes;
    }

    /** Tokens of a task. */
    int tokens() {
        return tokens * TILES;
    }

    /**
     * Attention of {@code count} rows of the step, at most {@link #tokens()}.
     *
     * @param end where what the first of them sees ends; each sees one row more than the one before
     */
    void attend(Operands operands, int first, int count, int head, int end, MemorySegment scratch, long scratchAt) {
        int tiles = (count + tokens - 1) / tokens;
        start(operands.in(0), first, count, head, scratch, scratchAt);
        int sequence = operands.in(1).get(Lanes.INT, 4L * first);
        int slot = operands.in(3).get(Lanes.INT, 4L * sequence);
        long entry = shape.tableIndex(slot, op.layer(), head);
        int last = end + count - 1;
        for (int start = begin(end) / PAGE * PAGE; start < last; start += PAGE) {
            long page = operands.in(6).get(Lanes.INT, 4 * (entry + start / PAGE)) * shape.pageBytes();
            int held = Math.min(PAGE, last - start);
            packKeys(operands.in(4), page, held, scratch, scratchAt);
            packValues(operands.in(5), page, held, scratch, scratchAt);
            for (int tile = 0; tile < tiles; tile++) {
                int tileEnd = end + tile * tokens;
                int tileCount = Math.min(tokens, count - tile * tokens);
                if (start < tileEnd + tileCount - 1 && begin(tileEnd) < start + PAGE) {
                    tile(tile, tileCount, tileEnd - start, scratch, scratchAt);
                }
            }
        }
        finish(operands.out(0), first, count, head, scratch, scratchAt);
    }

    /** Where what a row sees begins. */
    private int begin(int end) {
        return op.window() > 0 ? Math.max(0, end - op.window()) : 0;
    }

    private int row(int token) {
        return token / tokens * rows + token % tokens * op.group();
    }

    /** Copies the scaled queries, and starts sums, greatest scores and totals. */
    private void start(MemorySegment query, int first, int count, int head, MemorySegment scratch, long scratchAt) {
        int all = (count + tokens - 1) / tokens * rows;
        Lanes.zero(scratch, scratchAt + queriesAt, Math.toIntExact(all * queryPitch / 4));
        Lanes.zero(scratch, scratchAt + sumsAt, Math.toIntExact(all * sumPitch / 4));
        Lanes.zero(scratch, scratchAt + totalsAt, all);
        for (int row = 0; row < all; row++) {
            scratch.set(FLOAT, scratchAt + maximaAt + 4L * row, NONE);
        }
        for (int token = 0; token < count; token++) {
            for (int g = 0; g < op.group(); g++) {
                long from = 4 * ((long) (first + token) * op.queryHeads() + (long) head * op.group() + g) * headDim;
                long to = scratchAt + queriesAt + (row(token) + g) * queryPitch;
                Elementwise.scale(query, from, op.scale() * Softmax.LOG2_E, scratch, to, headDim);
            }
        }
    }

    /** Writes the results: sums divided by totals. */
    private void finish(MemorySegment out, int first, int count, int head, MemorySegment scratch, long scratchAt) {
        for (int token = 0; token < count; token++) {
            for (int g = 0; g < op.group(); g++) {
                long to = 4 * ((long) (first + token) * op.queryHeads() + (long) head * op.group() + g) * headDim;
                int row = row(token) + g;
                float total = scratch.get(FLOAT, scratchAt + totalsAt + 4L * row);
                long from = scratchAt + sumsAt + row * sumPitch;
                Elementwise.scale(scratch, from, 1 / total, out, to, headDim);
            }
        }
    }

    /**
     * One tile of rows over one page that is packed.
     *
     * @param end where in the page ends what the tile's first token sees; may lie beyond it
     */
    private void tile(int tile, int count, int end, MemorySegment scratch, long scratchAt) {
        int keys = Math.min(PAGE, end + count - 1);
        int padded = (keys + COUNT - 1) / COUNT * COUNT;
        long scores = scratchAt + scoresAt;
        // Tiles have an even number of rows, at least four; those beyond the last token count for nothing.
        int used = Math.clamp((count * op.group() + 1) / 2 * 2, 4, rows);
        scores(scratchAt + queriesAt + (long) tile * rows * queryPitch, used, keys, scratch, scratchAt);
        mask(count, end, padded, scratch, scores);
        TileSoftmax.run(
                scratch,
                scores,
                SCORE_PITCH,
                count * op.group(),
                padded,
                scratchAt + maximaAt + 4L * tile * rows,
                scratchAt + totalsAt + 4L * tile * rows,
                scratchAt + factorsAt);
        long sums = scratchAt + sumsAt + (long) tile * rows * sumPitch;
        for (int row = 0; row < count * op.group(); row++) {
            float factor = scratch.get(FLOAT, scratchAt + factorsAt + 4L * row);
            if (factor != 1) {
                long sum = sums + row * sumPitch;
                Elementwise.scale(scratch, sum, factor, scratch, sum, headDim);
            }
        }
        sums(sums, used, keys, scratch, scratchAt);
    }

    /** S[rows, keys] = Q * K^T. */
    private void scores(long queries, int used, int keys, MemorySegment scratch, long scratchAt) {
        for (int panel = 0; panel * WIDTH < keys; panel++) {
            long b = scratchAt + keysAt + 4L * panel * WIDTH * headDim;
            for (int row = 0; row < used; ) {
                int step = AttentionTile.rows(used - row);
                long a = queries + row * queryPitch;
                long c = scratchAt + scoresAt + row * SCORE_PITCH + 4L * panel * WIDTH;
                if (step == 6) {
                    AttentionTile.six(scratch, b, headDim, scratch, a, queryPitch, scratch, c, SCORE_PITCH);
                } else {
                    AttentionTile.four(scratch, b, headDim, scratch, a, queryPitch, scratch, c, SCORE_PITCH);
                }
                row += step;
            }
        }
    }

    /** O[rows, headDim] += P[rows, keys] * V. */
    private void sums(long sums, int used, int keys, MemorySegment scratch, long scratchAt) {
        for (int panel = 0; panel < panels; panel++) {
            long b = scratchAt + valuesAt + 4L * panel * WIDTH * PAGE;
            for (int row = 0; row < used; ) {
                int step = AttentionTile.rows(used - row);
                long a = scratchAt + scoresAt + row * SCORE_PITCH;
                long c = sums + row * sumPitch + 4L * panel * WIDTH;
                if (step == 6) {
                    AttentionTile.addSix(scratch, b, keys, scratch, a, scratch, c, sumPitch);
                } else {
                    AttentionTile.addFour(scratch, b, keys, scratch, a, scratch, c, sumPitch);
                }
                row += step;
            }
        }
    }

    /** Takes out what a token does not see. */
    private void mask(int count, int end, int padded, MemorySegment scratch, long scores) {
        if (end >= padded && (op.window() == 0 || end + count - 1 - op.window() <= 0)) {
            return;
        }
        for (int token = 0; token < count; token++) {
            int begin = op.window() > 0 ? Math.clamp(end + (long) token - op.window(), 0, padded) : 0;
            for (int g = 0; g < op.group(); g++) {
                long row = scores + (token * op.group() + g) * SCORE_PITCH;
                for (int key = 0; key < begin; key++) {
                    scratch.set(FLOAT, row + 4L * key, NONE);
                }
                for (int key = Math.max(0, end + token); key < padded; key++) {
                    scratch.set(FLOAT, row + 4L * key, NONE);
                }
            }
        }
    }

    /** Keys of a page to panels [panel][headDim][WIDTH], lanes over keys. */
    private void packKeys(MemorySegment pool, long page, int held, MemorySegment scratch, long scratchAt) {
        MemorySegment source = rows(pool, page, held, scratch, scratchAt);
        long turned = scratchAt + turnedAt;
        Transposition.run(
                source,
                widened() ? scratchAt + pageAt : page,
                4L * headDim,
                PAGE,
                4,
                scratch,
                turned,
                4L * PAGE,
                0,
                headDim,
                scratch,
                scratchAt + turnAt);
        for (int d = 0; d < headDim; d++) {
            for (int panel = 0; panel * WIDTH < PAGE; panel++) {
                long from = turned + 4L * (d * PAGE + panel * WIDTH);
                long to = scratchAt + keysAt + 4L * WIDTH * (panel * headDim + d);
                FloatVector.fromMemorySegment(F, scratch, from, LE).intoMemorySegment(scratch, to, LE);
                FloatVector.fromMemorySegment(F, scratch, from + 4L * COUNT, LE)
                        .intoMemorySegment(scratch, to + 4L * COUNT, LE);
            }
        }
    }

    /** Values of a page to panels [panel][key][WIDTH]; what is no column is zero. */
    private void packValues(MemorySegment pool, long page, int held, MemorySegment scratch, long scratchAt) {
        MemorySegment source = rows(pool, page, held, scratch, scratchAt);
        long rowsAt = widened() ? scratchAt + pageAt : page;
        int whole = F.loopBound(headDim);
        for (int key = 0; key < held; key++) {
            long from = rowsAt + 4L * headDim * key;
            int d = 0;
            for (; d < whole; d += COUNT) {
                FloatVector.fromMemorySegment(F, source, from + 4L * d, LE)
                        .intoMemorySegment(scratch, valueAt(scratchAt, key, d), LE);
            }
            for (; d < panels * WIDTH; d++) {
                float value = d < headDim ? source.get(FLOAT, from + 4L * d) : 0;
                scratch.set(FLOAT, valueAt(scratchAt, key, d), value);
            }
        }
    }

    private long valueAt(long scratchAt, int key, int d) {
        return scratchAt + valuesAt + 4L * WIDTH * (d / WIDTH * PAGE + key) + 4L * (d % WIDTH);
    }

    private boolean widened() {
        return shape.dtype() != DType.F32;
    }

    /** The pool, or scratch after the page was widened to it. */
    private MemorySegment rows(MemorySegment pool, long page, int held, MemorySegment scratch, long scratchAt) {
        if (!widened()) {
            return pool;
        }
        Conversions.bf16ToFloat(pool, page, scratch, scratchAt + pageAt, held * headDim);
        return scratch;
    }
}
