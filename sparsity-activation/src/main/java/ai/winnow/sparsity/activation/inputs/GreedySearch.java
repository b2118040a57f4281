package ai.winnow.sparsity.activation.inputs;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * Divides the sparsity of one layer among its projections (TEAL, algorithm 1). Every step takes the same number of weights from
 * the projection whose loss hurts the layer's output least; ties go to the first. The whole way is kept, so that any sparsity on
 * it can be chosen later.
 *
 * @param baseStep what a step takes from a projection of the size of the first
 * @param until the search ends when this share of the layer is gone
 * @param lastFraction the share of positions, from the end, over which the error is taken
 */
public record GreedySearch(double baseStep, double until, double lastFraction) {

    /** Absorbs rounding where whole numbers of steps are compared with shares. */
    private static final double SLACK = 1e-9;

    /**
     * Searches.
     *
     * @param sizes elements of each projection's matrix
     * @param error the error of the layer when these shares of its projections' inputs are skipped
     * @return F32 {@code [steps + 1, projections + 1]}: the share of the layer that is gone, then that of each projection; the
     *     first row is all zeros
     */
    Tensor run(long[] sizes, ToDoubleFunction<double[]> error, Arena arena) {
        double total = (double) Arrays.stream(sizes).sum() / sizes[0];
        int[] steps = new int[sizes.length];
        List<double[]> rows = new ArrayList<>();
        rows.add(new double[sizes.length + 1]);
        while (rows.getLast()[0] < until - SLACK) {
            int best = best(sizes, steps, error);
            if (best < 0) {
                break;
            }
            steps[best]++;
            double[] shares = shares(sizes, steps);
            double[] row = new double[sizes.length + 1];
            row[0] = (rows.size() * baseStep) / total;
            System.arraycopy(shares, 0, row, 1, shares.length);
            rows.add(row);
        }
        return tensor(rows, arena);
    }

    /** The projection whose next step hurts least, or -1 if none has a whole step left. */
    private int best(long[] sizes, int[] steps, ToDoubleFunction<double[]> error) {
        int best = -1;
        double least = Double.POSITIVE_INFINITY;
        for (int i = 0; i < sizes.length; i++) {
            steps[i]++;
            double[] shares = shares(sizes, steps);
            if (shares[i] <= 1 + SLACK) {
                double found = error.applyAsDouble(shares);
                if (best < 0 || found < least) {
                    best = i;
                    least = found;
                }
            }
            steps[i]--;
        }
        return best;
    }

    private double[] shares(long[] sizes, int[] steps) {
        double[] shares = new double[sizes.length];
        for (int i = 0; i < sizes.length; i++) {
            shares[i] = steps[i] * baseStep * sizes[0] / sizes[i];
        }
        return shares;
    }

    private static Tensor tensor(List<double[]> rows, Arena arena) {
        int width = rows.getFirst().length;
        Tensor tensor = Tensor.allocate(arena, DType.F32, rows.size(), width);
        for (int row = 0; row < rows.size(); row++) {
            for (int i = 0; i < width; i++) {
                DType.F32.setFloat(tensor.segment(), (long) row * width + i, (float) rows.get(row)[i]);
            }
        }
        return tensor;
    }

    /**
     * The shares of the projections in the row of {@code found} whose sparsity is nearest to {@code sparsity}; the lower of two
     * that are equally near.
     *
     * @throws IncompatiblePolicyException if the search ended more than a step before
     */
    static double[] nearest(Tensor found, double sparsity, String method) {
        int rows = Math.toIntExact(found.shape().max(0));
        int width = Math.toIntExact(found.shape().max(1));
        int best = 0;
        for (int row = 1; row < rows; row++) {
            if (distance(found, row, sparsity) < distance(found, best, sparsity)) {
                best = row;
            }
        }
        double step = rows > 1 ? found.getFloat(width) : 1;
        if (distance(found, best, sparsity) > step) {
            throw new IncompatiblePolicyException(method + ": allocation=greedy was searched up to a sparsity of "
                    + found.getFloat((long) best * width) + ", not to " + sparsity + "; ask for less, or for uniform");
        }
        double[] shares = new double[width - 1];
        for (int i = 0; i < shares.length; i++) {
            shares[i] = Math.min(1, found.getFloat((long) best * width + 1 + i));
        }
        return shares;
    }

    private static double distance(Tensor found, int row, double sparsity) {
        return Math.abs(found.getFloat(row * found.shape().max(1)) - sparsity);
    }
}
