package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

/**
 * The fewest of the greatest numbers whose sum reaches a share of the sum of all, as an ascending int32 list. Numbers are not negative. The list
 * is found by halving: how many are taken lies between two counts, and each count is a {@link TopK} of linear time.
 */
final class KeyMass {

    private KeyMass() {}

    static long scratchBytes(int n) {
        return TopK.scratchBytes(n);
    }

    /** Writes the list (and slack) to {@code index}; returns its length. */
    static int select(long x, int n, float share, long scratch, long index) {
        double total = 0;
        for (int i = 0; i < n; i++) {
            total += ALL.get(FLOAT, x + 4L * i);
        }
        if (!Double.isFinite(total)) {
            return Selection.all(n, index);
        }
        int low = 0; // too few
        int high = n; // enough, or all
        while (high - low > 1) {
            int middle = (low + high) >>> 1;
            TopK.selectGreatest(x, n, middle, scratch, index);
            double sum = 0;
            for (int i = 0; i < middle; i++) {
                sum += ALL.get(FLOAT, x + 4L * ALL.get(INT, index + 4L * i));
            }
            if (sum >= share * total) {
                high = middle;
            } else {
                low = middle;
            }
        }
        return TopK.selectGreatest(x, n, high, scratch, index);
    }
}
