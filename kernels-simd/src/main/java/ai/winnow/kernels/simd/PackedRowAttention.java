package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.FLOAT_ALIGNED;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.Attention;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import jdk.incubator.vector.FloatVector;

/**
 * One row over packed pages of one key-value head, with all query heads that share it, one or in fours, as {@link RowAttention} is over the
 * others. Each has a softmax of its own; {@link #finish} makes one of both. Only with 16 lanes. Traffic: masks and numbers of the pages once for each
 * four heads.
 *
 * <p>Scratch: the scaled queries {@code [channels, heads]} and the sums {@code [heads, width]} of each block of heads, the softmax's states, the scores
 * of a page {@code [64, heads]}, and what a product with tiles gives, {@code [heads, 64]}.
 */
final class PackedRowAttention {

    private static final int TILE = 64;
    private static final int HEADS = 4;
    private static final int LINE = 64;
    private static final int STREAMS = 8;

    private final Attention op;
    private final PackedFormat format;
    private final int group;
    private final int heads;
    private final int blocks;
    private final int headDim;
    private final int segments;
    private final boolean f32;
    private final long pageBytes;

    private final long queryBytes;
    private final long sumBytes;
    private final long sumsAt;
    private final long statesAt;
    private final long scoresAt;
    private final long productsAt;
    private final long bytes;

    PackedRowAttention(Attention op, PackedFormat format) {
        this.op = op;
        this.format = format;
        this.group = op.group();
        this.heads = group == 1 ? 1 : HEADS;
        this.blocks = (group + heads - 1) / heads;
        this.headDim = op.shape().headDim();
        this.segments = format.segments();
        this.f32 = op.shape().dtype() == DType.F32;
        this.pageBytes = format.bytes();
        this.queryBytes = Tensor.align(4L * heads * headDim);
        this.sumBytes = 4L * TILE * segments;
        this.sumsAt = queryBytes * blocks;
        this.statesAt = sumsAt + sumBytes * blocks * heads;
        this.scoresAt = statesAt + blocks * HeadSoftmax.STATE_BYTES;
        this.productsAt = scoresAt + Tensor.align(4L * (heads * TILE + COUNT));
        this.bytes = Tensor.align(productsAt + 4L * (heads * TILE + 1));
    }

    /** Whether there are vectors of 16 lanes whose numbers expand fast. */
    static boolean isFast() {
        return COUNT == 16 && Selection.FAST_COMPRESS;
    }

    long scratchBytes() {
        return bytes;
    }

    /** @param query address of the row's query heads, those of this key-value head */
    void start(long query, long scratch) {
        float scale = op.scale() * Exponential2.LOG2_E;
        for (int block = 0; block < blocks; block++) {
            long to = scratch + block * queryBytes;
            for (int h = 0; h < heads; h++) {
                int g = block * heads + h;
                for (int d = 0; d < headDim; d++) {
                    float x = g < group ? ALL.get(FLOAT_ALIGNED, query + 4L * (g * headDim + d)) * scale : 0;
                    ALL.set(FLOAT_ALIGNED, to + 4L * (d * heads + h), x);
                }
            }
            HeadSoftmax.start(scratch + statesAt + block * HeadSoftmax.STATE_BYTES);
        }
        Lanes.zero(scratch + sumsAt, blocks * heads * segments * TILE);
    }

    /**
     * Takes a page from its row {@code from} on.
     *
     * @param page address of the page
     * @param next address of the page that is taken next, which is read meanwhile, or of this one
     */
    void take(long page, int from, long next, long scratch) {
        for (int block = 0; block < blocks; block++) {
            if (block == 0) {
                touch(next, 0, scratch);
            }
            scores(page, from, block, scratch);
            long state = scratch + statesAt + block * HeadSoftmax.STATE_BYTES;
            HeadSoftmax.piece(scratch + scoresAt, heads * TILE, heads, state);
            if (block == 0) {
                touch(next, 1, scratch);
            }
            weigh(page, from, block, scratch);
        }
    }

    private void scores(long page, int from, int block, long scratch) {
        long products = heads == 1 ? scratch + scoresAt : scratch + productsAt;
        long query = scratch + block * queryBytes;
        multiply(page + format.keyMask(0), page + format.keyNumbers(), headDim, query, products);
        long scores = scratch + scoresAt;
        if (heads == HEADS) {
            interleave(products, scores);
        }
        for (int i = 0; i < heads * from; i++) {
            ALL.set(FLOAT, scores + 4L * i, Float.NEGATIVE_INFINITY);
        }
    }

    /** {@code [4][64]} to {@code [64][4]}. */
    private static void interleave(long products, long scores) {
        for (int i = 0; i < TILE; i++) {
            long p = products + 4L * i;
            long s = scores + 16L * i;
            long low = word(p, p + 4L * TILE);
            long high = word(p + 8L * TILE, p + 12L * TILE);
            ALL.set(LONG, s, low);
            ALL.set(LONG, s + 8, high);
        }
    }

    /** Two floats as one word. */
    private static long word(long low, long high) {
        return (ALL.get(INT, low) & 0xffff_ffffL) | ((long) ALL.get(INT, high) << 32);
    }

    /** Values before {@code from} are not multiplied: zero times NaN would be NaN. */
    private void weigh(long page, int from, int block, long scratch) {
        long products = scratch + productsAt;
        long weights = scratch + scoresAt + 4L * heads * from;
        long factor = scratch + statesAt + block * HeadSoftmax.STATE_BYTES + HeadSoftmax.FACTOR;
        long sums = scratch + sumsAt + sumBytes * heads * block;
        long numbers = page + format.valueNumbers();
        for (int segment = 0; segment < segments; segment++) {
            long masks = page + format.valueMask(segment, 0);
            for (int row = 0; row < from; row++) {
                numbers += (f32 ? 4L : 2L) * Long.bitCount(ALL.get(LONG, masks + 8L * row));
            }
            numbers = multiply(masks + 8L * from, numbers, TILE - from, weights, products);
            for (int h = 0; h < heads; h++) {
                float by = ALL.get(FLOAT, factor + 4L * h);
                add(products + 4L * TILE * h, by, sums + sumBytes * h + 4L * TILE * segment);
            }
        }
    }

    private long multiply(long masks, long numbers, int tiles, long x, long y) {
        if (f32) {
            return heads == 1
                    ? F32PackedTiles.one(masks, numbers, tiles, x, y)
                    : F32PackedTiles.four(masks, numbers, tiles, x, y);
        }
        return heads == 1
                ? Bf16PackedTiles.one(masks, numbers, tiles, x, y)
                : Bf16PackedTiles.four(masks, numbers, tiles, x, y);
    }

    /**
     * Reads half of the page that is taken next, eight streams side by side. Before the arithmetic and not between its steps: those are so long that only a few would be under way at once.
     */
    private void touch(long next, int half, long scratch) {
        long stream = pageBytes / (2 * STREAMS * LINE);
        long from = next + half * stream * (STREAMS * LINE);
        int seen = 0;
        for (int i = 0; i < stream; i++) {
            for (int j = 0; j < STREAMS; j++) {
                seen ^= ALL.get(INT, from + (j * stream + i) * LINE);
            }
        }
        ALL.set(INT, scratch + productsAt + 4L * TILE * heads, seen); // so that it is not left out
    }

    /** sums = sums * factor + products, of a tile. */
    private static void add(long products, float factor, long sums) {
        FloatVector by = FloatVector.broadcast(F, factor);
        for (int i = 0; i < TILE; i += COUNT) {
            FloatVector product = FloatVector.fromMemorySegment(F, ALL, products + 4L * i, LE);
            FloatVector.fromMemorySegment(F, ALL, sums + 4L * i, LE)
                    .fma(by, product)
                    .intoMemorySegment(ALL, sums + 4L * i, LE);
        }
    }

    /**
     * Merges the sums with what {@code rest} has written of the other pages: each result is weighed with its share of the whole softmax.
     *
     * @param out address of the row's heads of the result
     * @param restScratch the scratch of {@code rest}
     */
    void finish(long out, RowAttention rest, long restScratch, long scratch) {
        for (int g = 0; g < group; g++) {
            long state = scratch + statesAt + (long) g / heads * HeadSoftmax.STATE_BYTES;
            float greatest = ALL.get(FLOAT, state + 4L * (g % heads));
            float other = rest.greatest(g, restScratch);
            float most = Math.max(greatest, other);
            double scale = Math.pow(2, (double) greatest - most);
            double own = scale * HeadSoftmax.total(state, g % heads, heads);
            double others = Math.pow(2, (double) other - most) * rest.total(g, restScratch);
            double all = own + others;
            boolean none = all == 0; // no score that counts: zeros, as dense attention has
            float rests = none ? 0 : (float) (others / all);
            float shares = none ? 0 : (float) (scale / all);
            merge(out + 4L * g * headDim, rests, scratch + sumsAt + sumBytes * g, shares);
        }
    }

    /** out = out * share + sums * factor, of a head. */
    private void merge(long out, float share, long sums, float factor) {
        FloatVector left = FloatVector.broadcast(F, share);
        FloatVector right = FloatVector.broadcast(F, factor);
        int whole = F.loopBound(headDim);
        for (int d = 0; d < whole; d += COUNT) {
            FloatVector.fromMemorySegment(F, ALL, out + 4L * d, LE)
                    .mul(left)
                    .add(FloatVector.fromMemorySegment(F, ALL, sums + 4L * d, LE)
                            .mul(right))
                    .intoMemorySegment(ALL, out + 4L * d, LE);
        }
        for (int d = whole; d < headDim; d++) {
            float sum = ALL.get(FLOAT, out + 4L * d) * share + ALL.get(FLOAT, sums + 4L * d) * factor;
            ALL.set(FLOAT, out + 4L * d, sum);
        }
    }
}
