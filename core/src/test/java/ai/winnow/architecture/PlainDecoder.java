package ai.winnow.architecture;

import ai.winnow.tensor.Tensor;
import java.util.Map;
import java.util.Objects;
import java.util.function.DoubleUnaryOperator;

/**
 * A decoder of this family written down a second time, with double loops and nothing shared but the tensors, for one sequence
 * from its first row. Biases and head norms are applied where the checkpoint has them.
 *
 * @param frequencies radians a position of each rotated pair
 * @param interleaved whether pairs are neighbours
 * @param windows rows each layer sees, 0 for all
 */
record PlainDecoder(
        Map<String, Tensor> tensors,
        int heads,
        int keyValueHeads,
        int headDim,
        double[] frequencies,
        boolean interleaved,
        int[] windows,
        double epsilon,
        DoubleUnaryOperator activation) {

    /** Logits of each row. */
    float[][] forward(int... ids) {
        double[][] x = new double[ids.length][];
        for (int row = 0; row < ids.length; row++) {
            x[row] = matrixRow("model.embed_tokens.weight", ids[row]);
        }
        for (int layer = 0; layer < windows.length; layer++) {
            attention("model.layers." + layer + ".", windows[layer], x);
            mlp("model.layers." + layer + ".", x);
        }
        String head = tensors.containsKey("lm_head.weight") ? "lm_head" : "model.embed_tokens";
        float[][] logits = new float[ids.length][];
        for (int row = 0; row < ids.length; row++) {
            double[] result = linear(head, norm("model.norm", x[row], 0, x[row].length));
            logits[row] = new float[result.length];
            for (int i = 0; i < result.length; i++) {
                logits[row][i] = (float) result[i];
            }
        }
        return logits;
    }

    private void attention(String prefix, int window, double[][] x) {
        double[][] queries = new double[x.length][];
        double[][] keys = new double[x.length][];
        double[][] values = new double[x.length][];
        for (int row = 0; row < x.length; row++) {
            double[] normed = norm(prefix + "input_layernorm", x[row], 0, x[row].length);
            queries[row] = positioned(prefix + "self_attn.q", heads, row, normed);
            keys[row] = positioned(prefix + "self_attn.k", keyValueHeads, row, normed);
            values[row] = linear(prefix + "self_attn.v_proj", normed);
        }
        for (int row = 0; row < x.length; row++) {
            double[] mixed = new double[heads * headDim];
            int first = window == 0 ? 0 : Math.max(0, row - window + 1);
            for (int head = 0; head < heads; head++) {
                int from = head * keyValueHeads / heads * headDim;
                double[] weights = new double[row + 1];
                double sum = 0;
                for (int past = first; past <= row; past++) {
                    double dot = 0;
                    for (int d = 0; d < headDim; d++) {
                        dot += queries[row][head * headDim + d] * keys[past][from + d];
                    }
                    weights[past] = Math.exp(dot / Math.sqrt(headDim));
                    sum += weights[past];
                }
                for (int past = first; past <= row; past++) {
                    for (int d = 0; d < headDim; d++) {
                        mixed[head * headDim + d] += weights[past] / sum * values[past][from + d];
                    }
                }
            }
            add(x[row], linear(prefix + "self_attn.o_proj", mixed));
        }
    }

    /** Projected, normed where there is a norm, and rotated. */
    private double[] positioned(String name, int count, int position, double[] normed) {
        double[] result = linear(name + "_proj", normed);
        for (int head = 0; head < count; head++) {
            int from = head * headDim;
            if (tensors.containsKey(name + "_norm.weight")) {
                System.arraycopy(norm(name + "_norm", result, from, headDim), 0, result, from, headDim);
            }
            for (int pair = 0; pair < frequencies.length; pair++) {
                int i = from + (interleaved ? 2 * pair : pair);
                int j = interleaved ? i + 1 : i + frequencies.length;
                double cos = Math.cos(position * frequencies[pair]);
                double sin = Math.sin(position * frequencies[pair]);
                double a = result[i];
                double b = result[j];
                result[i] = a * cos - b * sin;
                result[j] = b * cos + a * sin;
            }
        }
        return result;
    }

    private void mlp(String prefix, double[][] x) {
        for (double[] row : x) {
            double[] normed = norm(prefix + "post_attention_layernorm", row, 0, row.length);
            double[] gate = linear(prefix + "mlp.gate_proj", normed);
            double[] up = linear(prefix + "mlp.up_proj", normed);
            for (int i = 0; i < gate.length; i++) {
                gate[i] = activation.applyAsDouble(gate[i]) * up[i];
            }
            add(row, linear(prefix + "mlp.down_proj", gate));
        }
    }

    private double[] norm(String name, double[] x, int from, int width) {
        double sum = 0;
        for (int i = 0; i < width; i++) {
            sum += x[from + i] * x[from + i];
        }
        double[] result = new double[width];
        for (int i = 0; i < width; i++) {
            result[i] = x[from + i]
                    / Math.sqrt(sum / width + epsilon)
                    * tensor(name + ".weight").getFloat(i);
        }
        return result;
    }

    private double[] linear(String name, double[] x) {
        double[] result = new double[(int) tensor(name + ".weight").shape().max(0)];
        Tensor bias = tensors.get(name + ".bias");
        for (int out = 0; out < result.length; out++) {
            double[] row = matrixRow(name + ".weight", out);
            for (int in = 0; in < x.length; in++) {
                result[out] += row[in] * x[in];
            }
            result[out] += bias == null ? 0 : bias.getFloat(out);
        }
        return result;
    }

    private double[] matrixRow(String name, int row) {
        int width = (int) tensor(name).shape().max(1);
        double[] values = new double[width];
        for (int i = 0; i < width; i++) {
            values[i] = tensor(name).getFloat((long) row * width + i);
        }
        return values;
    }

    private Tensor tensor(String name) {
        return Objects.requireNonNull(tensors.get(name), name);
    }

    private static void add(double[] to, double[] values) {
        for (int i = 0; i < to.length; i++) {
            to[i] += values[i];
        }
    }
}
