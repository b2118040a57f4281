package ai.winnow.benchmarks.compare;

import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/**
 * Judges a linear layer by some of its outputs, summed in f64.
 *
 * @param x {@code [at least rows, in]}; inputs that are skipped are 0
 * @param weight the element {@code output * in + input}
 * @param mask {@code [rows, out]}: where it is 0 the output must be 0
 */
record LinearOracle(int rows, int in, int out, float[] x, Numbers weight, float @Nullable [] mask) {

    private static final int SAMPLES = 200;

    /** Numbers by their index. */
    @FunctionalInterface
    interface Numbers {
        float at(long index);
    }

    /**
     * The greatest error as a share of what is allowed: of what a chain of {@code in} f32 additions may lose of its magnitudes
     * (ai.winnow.contract.Tolerance), and six standard deviations of what rounding the inputs does, evenly distributed.
     *
     * @param y {@code [rows, out]}
     * @param inputRounding as in {@link Subject}
     */
    double error(float[] y, double inputRounding) {
        double chain = (8 + 2 * Math.sqrt(in)) * 0x1p-24;
        SplittableRandom random = new SplittableRandom(3);
        double worst = 0;
        for (int i = 0; i < SAMPLES; i++) {
            int row = random.nextInt(rows);
            int output = random.nextInt(out);
            double sum = 0;
            double magnitudes = 0;
            double squares = 0;
            float greatest = 0;
            for (int j = 0; j < in; j++) {
                float input = x[row * in + j];
                float w = weight.at((long) output * in + j);
                double product = (double) input * w;
                sum += product;
                magnitudes += Math.abs(product);
                squares += (double) w * w;
                greatest = Math.max(greatest, Math.abs(input));
            }
            boolean masked = mask != null && mask[row * out + output] == 0;
            double actual = y[row * out + output];
            double expected = masked ? 0 : sum;
            double rounding = 6 * inputRounding * greatest / 127 * Math.sqrt(squares / 3);
            double error = actual == expected ? 0 : Math.abs(actual - expected) / (chain * magnitudes + rounding);
            worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
        }
        return worst;
    }
}
