package ai.winnow.sparsity.attention.tca;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Which tokens of a text a head keeps, by how much the latest queries attend to them.
 *
 * @param sink the first tokens, which are always kept
 * @param window the last ones, likewise
 */
record CoreTokens(int sink, int window) {

    /**
     * Chooses among {@code importance.length} rows, of which those before {@code settled} were chosen earlier and stay. The others are cut
     * into blocks; a block that is not full is kept whole.
     *
     * @param importance of each row, at least 0; a token whose importance is NaN is never dropped
     * @return for each row whether it is kept
     */
    boolean[] choose(float[] importance, int settled, Configuration configuration) {
        int end = importance.length;
        int block = configuration.block();
        boolean[] kept = new boolean[end];
        if (end - settled <= sink + window + block) {
            Arrays.fill(kept, true);
            return kept;
        }
        Arrays.fill(kept, 0, Math.max(settled, sink), true);
        Arrays.fill(kept, end - window, end, true);
        int blocks = (end - settled) / block;
        Arrays.fill(kept, settled + blocks * block, end, true);
        int[] order = byRedundancy(importance, settled, blocks, block);
        int[] counts = configuration.counts(blocks);
        for (int i = settled; i < end; i++) {
            kept[i] |= Float.isNaN(importance[i]);
        }
        int next = 0;
        for (int i = counts.length - 1; i >= 0; i--) {
            for (int j = 0; j < counts[i]; j++) {
                keep(importance, settled + order[next++] * block, block, 1 << i, kept);
            }
        }
        return kept;
    }

    /** The blocks, the least redundant first; of equals the later one. */
    private static int[] byRedundancy(float[] importance, int settled, int blocks, int block) {
        double[] mass = new double[blocks];
        double most = 0;
        for (int b = 0; b < blocks; b++) {
            for (int i = 0; i < block; i++) {
                mass[b] += importance[settled + b * block + i];
            }
            most = Math.max(most, mass[b]);
        }
        double[] redundancy = new double[blocks];
        for (int b = 0; b < blocks; b++) {
            redundancy[b] = redundancy(importance, settled + b * block, block, mass[b], most);
        }
        return IntStream.range(0, blocks)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer b) -> redundancy[b])
                        .thenComparing(Comparator.reverseOrder()))
                .mapToInt(b -> b)
                .toArray();
    }

    /** How even a block's importance is, weighed by how little the block matters: from 0 to 1. */
    static double redundancy(float[] importance, int from, int block, double mass, double most) {
        if (Double.isNaN(mass)) {
            return -1;
        }
        if (!(mass > 0)) {
            return 1;
        }
        double entropy = 0;
        for (int i = 0; i < block; i++) {
            double share = importance[from + i] / mass;
            entropy -= share > 0 ? share * Math.log(share) : 0;
        }
        double even = block == 1 ? 0 : entropy / Math.log(block);
        return (1 - (Double.isNaN(most) ? 0 : mass / most)) * (0.5 + 0.5 * even);
    }

    private static void keep(float[] importance, int from, int block, int count, boolean[] kept) {
        if (count == block) {
            Arrays.fill(kept, from, from + block, true);
            return;
        }
        // Float.compare has NaN above all; the sort is stable, so equals go to the earlier token.
        IntStream.range(from, from + block)
                .boxed()
                .sorted(Comparator.comparing((Integer i) -> importance[i], Float::compare)
                        .reversed())
                .limit(count)
                .forEach(i -> kept[i] = true);
    }
}
