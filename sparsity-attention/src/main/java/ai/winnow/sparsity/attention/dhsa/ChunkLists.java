package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.ir.Fused;
import ai.winnow.ir.Inference;
import ai.winnow.ir.KeyLists;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Lists of keys from the scores of chunks (DHSA, section 3), one for each tile of rows, which all heads share. A chunk's key is the mean of
 * its keys over all heads, a tile's query the mean of its queries over all heads and {@code tileRows} rows, missing ones counting as zeros;
 * each is multiplied by the root of how many tokens it stands for if {@code rootOfLength}. A chunk's score is their product, and that of
 * all its tokens.
 *
 * <p>Of the keys that the tile's last row sees the last {@code local} are chosen, then those with the greatest scores up to {@code budget}
 * in all. Equals go to the earlier chunk, NaN ranks above all, and of a chunk that does not fit whole the latest tokens are chosen. In the
 * end the first {@code global} of the chosen give way to the first {@code global} keys of the text, as published.
 *
 * <p>All keys are named where the tile sees no more than {@code budget}, where it has one of the step's last {@code tail} rows, and where
 * the sequence has no more than {@code denseUpTo} in all or its heads have different numbers of keys.
 *
 * <p>Inputs: {@code query F32 [rows, queryHeads * headDim]}, {@code starts, counts} of {@link Boundaries}, then the operands of {@link
 * CachedKeys}; outputs: the three tensors of {@link KeyLists}.
 */
record ChunkLists(
        KeyLists keys,
        int layer,
        int queryHeads,
        int mostChunks,
        int budget,
        int local,
        int global,
        int tail,
        int denseUpTo,
        boolean rootOfLength)
        implements Fused.Defined {

    private static final int CACHE = 3;

    ChunkLists {
        int least = Math.min(Math.min(local, global), Math.min(tail, denseUpTo));
        int most = budget;
        Inference.require(
                most >= 1 && least >= 0,
                () -> "a list holds at least 1 key and no fewer than 0 by their place, not " + most + " and " + least);
    }

    @Override
    public String name() {
        return "ChunkLists[" + budget + " keys, local " + local + ", global " + global + ", a tile of "
                + keys.tileRows() + " rows]";
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, CACHE + CachedKeys.OPERANDS);
        Inference.requireRows(this, inputs, 0, (long) queryHeads * keys.shape().headDim());
        CachedKeys.require(this, inputs, CACHE, keys.shape());
        List<TensorSpec> wanted = Boundaries.specs(inputs.get(CACHE + 2), mostChunks);
        Inference.require(
                inputs.subList(1, CACHE).equals(wanted),
                () -> name() + ": the chunks must be " + wanted + ", got " + inputs.subList(1, CACHE));
        return keys.specs(inputs.get(CACHE), inputs.get(CACHE + 1));
    }

    @Override
    public void evaluate(Operands operands) {
        CachedKeys cache = new CachedKeys(keys.shape(), layer, operands, CACHE);
        Chunks[] chunks = new Chunks[cache.sequences()]; // a step's tiles share them
        keys.forEachTile(operands.in(CACHE + 1), operands.inRows(CACHE), (tile, sequence, from, to) -> {
            int end = cache.cached(sequence, 0) + to - cache.firstRow(sequence);
            boolean dense = end <= budget
                    || cache.total(sequence) <= denseUpTo
                    || to > cache.firstRow(sequence + 1) - tail
                    || !cache.aligned(sequence);
            if (dense) {
                nameAll(operands, cache, tile, sequence, to);
                return;
            }
            if (chunks[sequence] == null) {
                chunks[sequence] = chunks(operands, cache, sequence);
            }
            boolean[] named = choose(chunks[sequence], scores(chunks[sequence], query(operands, from, to)), end);
            for (int list = 0; list < keys.lists(); list++) {
                keys.write(operands, 0, tile, list, named);
            }
        });
    }

    private void nameAll(Operands operands, CachedKeys cache, int tile, int sequence, int to) {
        for (int list = 0; list < keys.lists(); list++) {
            boolean[] named = new boolean[cache.cached(sequence, keys.head(list)) + to - cache.firstRow(sequence)];
            Arrays.fill(named, true);
            keys.write(operands, 0, tile, list, named);
        }
    }

    /** Chunks of a text: where each begins, behind the last where the text ends, and {@code [chunks][headDim]} keys. */
    record Chunks(int[] starts, double[][] keys) {}

    private Chunks chunks(Operands operands, CachedKeys cache, int sequence) {
        int count = operands.in(2).getAtIndex(ValueLayout.JAVA_INT, sequence);
        int[] starts = new int[count + 1];
        for (int i = 0; i < count; i++) {
            starts[i] = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, (long) sequence * mostChunks + i);
        }
        starts[count] = cache.total(sequence);
        int heads = keys.shape().heads();
        double[][] means = new double[count][keys.shape().headDim()];
        // Sums chunk by chunk, not differences of sums from the first key on: one NaN would be in all that follow.
        for (int chunk = 0; chunk < count; chunk++) {
            int length = starts[chunk + 1] - starts[chunk];
            double weight = (rootOfLength ? 1 / Math.sqrt(length) : 1.0 / length) / heads;
            for (int at = starts[chunk]; at < starts[chunk + 1]; at++) {
                for (int head = 0; head < heads; head++) {
                    for (int d = 0; d < means[chunk].length; d++) {
                        means[chunk][d] += weight * cache.get(sequence, head, at, d);
                    }
                }
            }
        }
        return new Chunks(starts, means);
    }

    /** What stands for the queries of rows {@code from} to {@code to}. */
    private double[] query(Operands operands, int from, int to) {
        double[] query = new double[keys.shape().headDim()];
        double weight = (rootOfLength ? Math.sqrt(to - from) : 1) / keys.tileRows() / queryHeads;
        for (int row = from; row < to; row++) {
            for (int head = 0; head < queryHeads; head++) {
                for (int d = 0; d < query.length; d++) {
                    long at = ((long) row * queryHeads + head) * query.length + d;
                    query[d] += weight * DType.F32.getFloat(operands.in(0), at);
                }
            }
        }
        return query;
    }

    /** The scores of all chunks. */
    static float[] scores(Chunks chunks, double[] query) {
        float[] scores = new float[chunks.keys().length];
        for (int chunk = 0; chunk < scores.length; chunk++) {
            double dot = 0;
            for (int d = 0; d < query.length; d++) {
                dot += query[d] * chunks.keys()[chunk][d];
            }
            scores[chunk] = (float) dot;
        }
        return scores;
    }

    /** Which of the keys before {@code end} are chosen. */
    private boolean[] choose(Chunks chunks, float[] scores, int end) {
        boolean[] named = new boolean[end];
        int limit = Math.max(0, end - Math.min(local, budget));
        Arrays.fill(named, limit, end, true);
        int left = budget - (end - limit);
        int[] order = IntStream.range(0, scores.length)
                .filter(chunk -> chunks.starts()[chunk] < limit)
                .boxed()
                .sorted(Comparator.comparing((Integer chunk) -> scores[chunk], Float::compare)
                        .reversed())
                .mapToInt(chunk -> chunk)
                .toArray();
        for (int i = 0; i < order.length && left > 0; i++) {
            int chunkEnd = Math.min(limit, chunks.starts()[order[i] + 1]);
            int chunkStart = Math.max(chunks.starts()[order[i]], chunkEnd - left);
            Arrays.fill(named, chunkStart, chunkEnd, true);
            left -= chunkEnd - chunkStart;
        }
        int evicted = 0;
        int first = Math.min(global, budget);
        for (int key = 0; key < end && evicted < first; key++) {
            evicted += named[key] ? 1 : 0;
            named[key] = false;
        }
        Arrays.fill(named, 0, Math.min(first, end), true);
        return named;
    }
}
