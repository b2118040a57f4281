package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.Tensor;
import java.util.SplittableRandom;

/**
 * A linear layer and its input, as numbers.
 *
 * @param x F32 {@code [at least rows, in]}
 * @param weight F32 {@code [out, in]}
 * @param threshold inputs of this magnitude or less are skipped; below 0 none
 */
record LinearProblem(int rows, int in, int out, Tensor x, Tensor weight, float threshold) {

    private static final int SAMPLES = 200;

    /**
     * The greatest error of some outputs against sums in f64, as a share of what {@link #bound} allows: above 1 the result is wrong.
     *
     * @param y {@code [rows, out]}
     */
    double error(float[] y, double bound) {
        SplittableRandom random = new SplittableRandom(3);
        double worst = 0;
        for (int i = 0; i < SAMPLES; i++) {
            int row = random.nextInt(rows);
            int output = random.nextInt(out);
            double sum = 0;
            double magnitudes = 0;
            for (int j = 0; j < in; j++) {
                float input = x.getFloat((long) row * in + j);
                if (Math.abs(input) > threshold) {
                    double product = (double) input * weight.getFloat((long) output * in + j);
                    sum += product;
                    magnitudes += Math.abs(product);
                }
            }
            double error = Math.abs(y[row * out + output] - sum) / (bound * magnitudes);
            worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
        }
        return worst;
    }

    /** What a sum in f32 may lose of its magnitudes. */
    double bound() {
        return (8 + 2 * Math.sqrt(in)) * 0x1p-24;
    }
}
