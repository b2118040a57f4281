package ai.winnow.sparsity.attention.tca;

import java.util.ArrayList;
import java.util.List;

/**
 * Which share of a head's blocks keeps how many tokens: entry {@code i} is the share that keeps {@code 2^i}, up to the whole block.
 *
 * @param shares sum to 1
 */
record Configuration(List<Float> shares) {

    Configuration {
        shares = List.copyOf(shares);
    }

    /**
     * A member of the log-Gaussian family: the share that keeps {@code k} falls with the distance of {@code log2 k} from {@code mu}.
     *
     * @param block tokens of a block, a power of two
     * @param sigma the spread; 0 for all blocks alike, at the count nearest to {@code 2^mu}
     */
    static Configuration of(int block, double mu, double sigma) {
        int steps = Integer.numberOfTrailingZeros(block);
        double[] weights = new double[steps + 1];
        double total = 0;
        for (int i = 0; i <= steps; i++) {
            double distance = i - mu;
            weights[i] = sigma == 0
                    ? (i == Math.clamp(Math.round(mu), 0, steps) ? 1 : 0)
                    : Math.exp(-distance * distance / (2 * sigma * sigma));
            total += weights[i];
        }
        List<Float> shares = new ArrayList<>();
        for (double weight : weights) {
            shares.add((float) (weight / total));
        }
        return new Configuration(shares);
    }

    /** Tokens of a block. */
    int block() {
        return 1 << (shares.size() - 1);
    }

    /** The share of all tokens that is kept. */
    double density() {
        double kept = 0;
        for (int i = 0; i < shares.size(); i++) {
            kept += shares.get(i) * (1 << i);
        }
        return kept / block();
    }

    /** Whether every block keeps all of its tokens. */
    boolean isDense() {
        return shares.getLast() == 1;
    }

    /**
     * How many of {@code blocks} blocks keep {@code 2^i} tokens, for each {@code i}: rounded shares, and whole blocks for what rounding leaves
     * over. Where it takes too many, there are fewer of those that keep the least.
     */
    int[] counts(int blocks) {
        int[] counts = new int[shares.size()];
        int left = blocks;
        for (int i = 0; i < counts.length - 1; i++) {
            counts[i] = (int) Math.floor(shares.get(i) * (double) blocks + 0.5);
            left -= counts[i];
        }
        for (int i = 0; left < 0; i++) {
            int fewer = Math.min(counts[i], -left);
            counts[i] -= fewer;
            left += fewer;
        }
        counts[counts.length - 1] = left;
        return counts;
    }
}
