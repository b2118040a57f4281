package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.ir.Inference;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The boundary predictor of DHSA with a layer of attention (section 3): the {@code 2 * window} keys around a gap attend to one another, the
 * results go through a LayerNorm without a residual, and their means left and right, {@code l} and {@code r}, make the features {@code [l,
 * r, |l - r|, l * r, cos(l, r)]} of a network with one hidden layer of ReLUs, whose output is the gap's logit.
 *
 * @param width numbers of a token's keys, all heads together
 * @param heads heads of the predictor's attention
 * @param hidden numbers of the hidden layer
 */
record Predictor(int width, int heads, int hidden) {

    /** Gaps that are judged at a time: what is projected for them is kept. */
    private static final int GAPS = 256;

    private static final double EPSILON = 1e-5;
    private static final double LEAST_NORM = 1e-8;

    Predictor {
        int all = width;
        int each = heads;
        int inner = hidden;
        Inference.require(
                all >= 1 && each >= 1 && inner >= 1 && all % each == 0,
                () -> each + " heads cannot share the " + all + " numbers of a token's keys evenly, or " + inner
                        + " hidden numbers are none");
    }

    /** Requires the keys of a cache of {@code shape} to be as wide as those it was trained on. */
    void requireWidth(KvShape shape) {
        int found = shape.heads() * shape.headDim();
        Inference.require(
                found == width,
                () -> "dhsa: the predictor reads keys of " + width + " numbers a token, this model has " + found
                        + "; import one that was trained for it");
    }

    /** Features of a gap. */
    int features() {
        return 4 * width + 1;
    }

    /** The names of its weights in an artefact, in the order in which the op takes them, all of F32. */
    Map<String, TensorSpec> weights() {
        Map<String, TensorSpec> weights = new LinkedHashMap<>();
        weights.put("dhsa/predictor.qkv.weight", TensorSpec.of(DType.F32, 3L * width, width));
        weights.put("dhsa/predictor.qkv.bias", TensorSpec.of(DType.F32, 3L * width));
        weights.put("dhsa/predictor.out.weight", TensorSpec.of(DType.F32, width, width));
        weights.put("dhsa/predictor.out.bias", TensorSpec.of(DType.F32, width));
        weights.put("dhsa/predictor.norm.weight", TensorSpec.of(DType.F32, width));
        weights.put("dhsa/predictor.norm.bias", TensorSpec.of(DType.F32, width));
        weights.put("dhsa/predictor.hidden.weight", TensorSpec.of(DType.F32, hidden, features()));
        weights.put("dhsa/predictor.hidden.bias", TensorSpec.of(DType.F32, hidden));
        weights.put("dhsa/predictor.logit.weight", TensorSpec.of(DType.F32, 1, hidden));
        weights.put("dhsa/predictor.logit.bias", TensorSpec.of(DType.F32, 1));
        return weights;
    }

    /** The cosine of two vectors; 0 if one is 0. */
    static double cosine(double[] a, double[] b) {
        double product = 0;
        double aa = 0;
        double bb = 0;
        for (int i = 0; i < a.length; i++) {
            product += a[i] * b[i];
            aa += a[i] * a[i];
            bb += b[i] * b[i];
        }
        return product / Math.max(LEAST_NORM, Math.sqrt(aa) * Math.sqrt(bb));
    }

    /** The predictor with its weights. */
    final class Run {

        private final int window;
        private final float[][] weights;

        /** @param from which operand the first weight is */
        Run(Operands operands, int from, int window) {
            this.window = window;
            this.weights = new float[weights().size()][];
            for (int i = 0; i < weights.length; i++) {
                weights[i] = operands.input(from + i).toFloats();
            }
        }

        /** Writes the logit of each gap that has a window on either side. */
        void logits(CachedKeys keys, int sequence, float[] logits) {
            int last = logits.length - window;
            for (int begin = window - 1; begin < last; begin += GAPS) {
                int end = Math.min(last, begin + GAPS);
                int firstRow = begin - window + 1;
                float[] rows = keys.rows(sequence, firstRow, end + window);
                double[] projected = linear(rows, 0, 3 * width); // [rows, 3 * width]
                for (int gap = begin; gap < end; gap++) {
                    logits[gap] = (float) logit(projected, gap - begin);
                }
            }
        }

        /** The logit of the gap in the middle of the {@code 2 * window} projected rows from {@code first} on. */
        private double logit(double[] projected, int first) {
            double[] left = new double[width];
            double[] right = new double[width];
            for (int row = 0; row < 2 * window; row++) {
                double[] output = linear(attended(projected, first, row), 2, width);
                normalise(output);
                double[] side = row < window ? left : right;
                for (int i = 0; i < width; i++) {
                    side[i] += output[i] / window;
                }
            }
            double[] features = new double[features()];
            for (int i = 0; i < width; i++) {
                features[i] = left[i];
                features[width + i] = right[i];
                features[2 * width + i] = Math.abs(left[i] - right[i]);
                features[3 * width + i] = left[i] * right[i];
            }
            features[4 * width] = cosine(left, right);
            double[] inner = linear(features, 6, hidden);
            for (int i = 0; i < hidden; i++) {
                inner[i] = Math.max(inner[i], 0); // of NaN and 0 it is NaN
            }
            return linear(inner, 8, 1)[0];
        }

        /** What row {@code row} of the window attends to, all heads, before the output layer. */
        private double[] attended(double[] projected, int first, int row) {
            double[] result = new double[width];
            int headDim = width / heads;
            double[] shares = new double[2 * window];
            for (int head = 0; head < heads; head++) {
                int query = (first + row) * 3 * width + head * headDim;
                double most = Double.NEGATIVE_INFINITY;
                for (int other = 0; other < shares.length; other++) {
                    int key = (first + other) * 3 * width + width + head * headDim;
                    double dot = 0;
                    for (int d = 0; d < headDim; d++) {
                        dot += projected[query + d] * projected[key + d];
                    }
                    shares[other] = dot / Math.sqrt(headDim);
                    most = Math.max(most, shares[other]);
                }
                double sum = 0;
                for (int other = 0; other < shares.length; other++) {
                    shares[other] = Math.exp(shares[other] - most);
                    sum += shares[other];
                }
                for (int other = 0; other < shares.length; other++) {
                    int value = (first + other) * 3 * width + 2 * width + head * headDim;
                    for (int d = 0; d < headDim; d++) {
                        result[head * headDim + d] += shares[other] / sum * projected[value + d];
                    }
                }
            }
            return result;
        }

        private void normalise(double[] row) {
            double mean = 0;
            for (double number : row) {
                mean += number / width;
            }
            double variance = 0;
            for (double number : row) {
                variance += (number - mean) * (number - mean) / width;
            }
            for (int i = 0; i < width; i++) {
                row[i] = (row[i] - mean) / Math.sqrt(variance + EPSILON) * weights[4][i] + weights[5][i];
            }
        }

        private double[] linear(float[] rows, int weight, int out) {
            double[] wide = new double[rows.length];
            for (int i = 0; i < rows.length; i++) {
                wide[i] = rows[i];
            }
            return linear(wide, weight, out);
        }

        /** All of {@code rows} through the layer with weight number {@code weight}, {@code [out, in]}, and the bias behind it. */
        private double[] linear(double[] rows, int weight, int out) {
            float[] matrix = weights[weight];
            int in = matrix.length / out;
            double[] result = new double[rows.length / in * out];
            for (int row = 0; row < rows.length / in; row++) {
                for (int o = 0; o < out; o++) {
                    double sum = weights[weight + 1][o];
                    for (int i = 0; i < in; i++) {
                        sum += rows[row * in + i] * matrix[o * in + i];
                    }
                    result[row * out + o] = sum;
                }
            }
            return result;
        }
    }
}
