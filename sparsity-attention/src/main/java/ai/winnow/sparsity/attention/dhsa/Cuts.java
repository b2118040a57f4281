package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.ir.Inference;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Where a text is cut, by how much each gap between two tokens looks like a boundary. The strongest gaps are taken, none near a stronger
 * one. A gap is named by the token before it.
 *
 * @param window tokens on either side that a gap is judged by; gaps nearer to an end are none
 * @param theta gaps whose logit is not above are none; NaN is
 * @param block rows of a block of queries
 * @param perBlock the most boundaries, for each whole block that the text has
 * @param tail tokens that are cut off at the end, as the instruction; 0 for none
 */
record Cuts(int window, float theta, int block, int perBlock, int tail) {

    /** Boundaries are farther from one another than this. */
    static final int RADIUS = 8;

    Cuts {
        int sizes = Math.min(Math.min(window, block), perBlock);
        int rest = tail;
        Inference.require(sizes >= 1 && rest >= 0, () -> "cuts need a window, a block and a boundary of at least 1");
    }

    /** The most chunks of a text of {@code tokens}. */
    int most(int tokens) {
        return Math.toIntExact(Math.min(Math.max(1L, tokens), (long) (tokens / block) * perBlock + 2));
    }

    /** The gaps that are judged are {@code window - 1} to this. */
    int end(int tokens) {
        return tokens - window;
    }

    /**
     * The first token of each chunk, ascending, from 0.
     *
     * @param logits of each gap of a text of that many tokens
     */
    int[] starts(float[] logits) {
        int tokens = logits.length;
        int cut = tail > 0 && tokens > tail ? tokens - tail : tokens;
        long most = (long) (tokens / block) * perBlock;
        boolean[] near = new boolean[tokens];
        boolean[] starts = new boolean[tokens];
        starts[0] = true;
        int accepted = 0;
        if (cut < tokens) {
            accept(cut, near, starts);
            accepted++;
        }
        // Float.compare has NaN above all, so that it shows; the sort is stable: equals go to the earlier gap.
        int[] order = IntStream.range(window - 1, Math.max(window - 1, Math.min(end(tokens), cut)))
                .filter(gap -> !(logits[gap] <= theta))
                .boxed()
                .sorted(Comparator.comparing((Integer gap) -> logits[gap], Float::compare)
                        .reversed())
                .mapToInt(gap -> gap)
                .toArray();
        for (int i = 0; i < order.length && accepted < most; i++) {
            if (!near[order[i]]) {
                accept(order[i], near, starts);
                accepted++;
            }
        }
        return IntStream.range(0, tokens).filter(token -> starts[token]).toArray();
    }

    private static void accept(int gap, boolean[] near, boolean[] starts) {
        Arrays.fill(near, Math.max(0, gap - RADIUS), Math.min(near.length, gap + RADIUS + 1), true);
        if (gap + 1 < starts.length) {
            starts[gap + 1] = true;
        }
    }
}
