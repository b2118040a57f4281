package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** Softmax attention of single query heads over the cache in f64: what the ops of attention mean. */
final class ExactAttention {

    private final Attention op;
    private final KvShape shape;
    private final Operands operands;
    private final int cache;
    private final @Nullable PackedFormat format;
    private final int pool;

    // The packed pages that were read last, keys and values.
    private final float[][] unpacked = new float[2][0];
    private final int[] held = new int[2];

    /** @param cache which operand {@code sequence} is; the others of the cache follow */
    ExactAttention(Attention op, Operands operands, int cache) {
        this(op, operands, cache, null, 0);
    }

    /**
     * @param format of packed pages, if there may be some
     * @param pool which operand they are
     */
    ExactAttention(Attention op, Operands operands, int cache, @Nullable PackedFormat format, int pool) {
        this.op = op;
        this.shape = op.shape();
        this.operands = operands;
        this.cache = cache;
        this.format = format;
        this.pool = pool;
    }

    private int slot(int row) {
        return integer(cache + 2, integer(cache, row));
    }

    private int integer(int operand, int index) {
        return operands.in(operand).getAtIndex(ValueLayout.JAVA_INT, index);
    }

    /** Where what {@code row} sees of key-value head {@code head} ends. */
    int end(int row, int head) {
        int first = integer(cache + 1, integer(cache, row));
        return integer(cache + 6, shape.headIndex(slot(row), op.layer(), head)) + row - first + 1;
    }

    /** Where it begins. */
    int begin(int end) {
        return op.window() > 0 ? Math.max(0, end - op.window()) : 0;
    }

    /** The result of query head {@code head} of {@code row} over those keys it sees that are {@code named}; zeros if there are none. */
    void attend(int row, int head, IntPredicate named) {
        int kvHead = head / op.group();
        int end = end(row, kvHead);
        int begin = begin(end);
        long at = at(row, head);
        double[] scores = scores(row, head, begin, end, named);
        double max = Double.NEGATIVE_INFINITY;
        for (double score : scores) {
            max = score > max ? score : max;
        }
        double sum = 0;
        boolean any = false;
        for (int i = begin; i < end; i++) {
            if (named.test(i)) {
                any = true;
                scores[i - begin] = Math.exp(scores[i - begin] - (max == Double.NEGATIVE_INFINITY ? 0 : max));
                sum += scores[i - begin];
            }
        }
        double[] totals = new double[shape.headDim()];
        for (int i = begin; i < end; i++) {
            if (named.test(i)) {
                int page = page(row, kvHead, i);
                for (int d = 0; d < totals.length; d++) {
                    totals[d] += scores[i - begin] * number(1, page, i % KvShape.PAGE_ROWS, d);
                }
            }
        }
        for (int d = 0; d < totals.length; d++) {
            DType.F32.setFloat(operands.out(0), at + d, any ? (float) (totals[d] / sum) : 0);
        }
    }

    /** The scaled scores of the keys {@code begin} to {@code end}; negative infinity of those not named. */
    double[] scores(int row, int head, int begin, int end, IntPredicate named) {
        MemorySegment query = operands.in(0);
        long at = at(row, head);
        double[] scores = new double[end - begin];
        for (int i = begin; i < end; i++) {
            double dot = 0;
            boolean seen = named.test(i);
            if (seen) {
                int page = page(row, head / op.group(), i);
                for (int d = 0; d < shape.headDim(); d++) {
                    dot += (double) DType.F32.getFloat(query, at + d) * number(0, page, i % KvShape.PAGE_ROWS, d);
                }
            }
            scores[i - begin] = seen ? dot * op.scale() : Double.NEGATIVE_INFINITY;
        }
        return scores;
    }

    /** Number {@code d} of row {@code row} of a page of keys (0) or of values (1). */
    private float number(int which, int page, int row, int d) {
        if (page >= 0 || format == null) {
            return shape.get(operands.in(cache + 3 + which), page, row, d);
        }
        if (held[which] != page) {
            held[which] = page;
            unpacked[which] = new float[KvShape.PAGE_ROWS * shape.headDim()];
            if (which == 0) {
                format.readKeys(operands.in(pool), PackedFormat.entry(page), unpacked[which]);
            } else {
                format.readValues(operands.in(pool), PackedFormat.entry(page), unpacked[which]);
            }
        }
        return unpacked[which][row * shape.headDim() + d];
    }

    private long at(int row, int head) {
        return ((long) row * op.queryHeads() + head) * shape.headDim();
    }

    /** The page of the pool that holds key {@code key}. */
    private int page(int row, int head, int key) {
        return KvAppend.page(shape, operands.in(cache + 5), slot(row), op.layer(), head, key);
    }
}
