package ai.winnow.sparsity.attention.doublesparsity;

import ai.winnow.ir.Attention;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.method.Calibration;
import ai.winnow.method.Calibration.Observer;
import ai.winnow.method.Calibration.Probe;
import ai.winnow.method.Calibration.Tap;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodOptions;
import ai.winnow.sparsity.attention.doublesparsity.DoubleSparsity.Ranking;
import ai.winnow.tensor.Tensor;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Ranks the channels of each key-value head by how heavy they are, summed over the query heads that share it (section 3.2). For each layer
 * a tensor {@code I32 [heads, headDim]}: the channels, heaviest first; equals go to the lower one.
 */
record HeavyChannels(Ranking ranking) implements Calibrator {

    static String name(Ranking ranking, int layer) {
        return "double-sparsity/" + MethodOptions.spell(ranking) + ".layer." + layer;
    }

    @Override
    public Map<String, Tensor> calibrate(Calibration calibration) {
        Map<Integer, Layer> layers = new LinkedHashMap<>();
        Map<Probe, Observer> observers = new LinkedHashMap<>();
        for (Node node : calibration.graph(Phase.PREFILL).at(Role.ATTENTION)) {
            if (node.op() instanceof Attention attention) {
                Layer layer = new Layer(attention);
                layers.put(attention.layer(), layer);
                observers.put(new Probe(Site.of(attention.layer(), Role.KV_APPEND), Tap.INPUT), layer::keys);
                observers.put(new Probe(node.site(), Tap.INPUT), layer::queries);
            }
        }
        calibration.observe(observers);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        layers.forEach((number, layer) -> tensors.put(name(ranking, number), layer.channels(calibration)));
        return tensors;
    }

    /** Sums of magnitudes of one layer, {@code [heads * headDim]}. A step's keys come before its queries. */
    private final class Layer {

        private final Attention attention;
        private final double[] heavy;
        private float[] keys = {};

        Layer(Attention attention) {
            this.attention = attention;
            this.heavy =
                    new double[attention.shape().heads() * attention.shape().headDim()];
        }

        void keys(Tensor values, int rows) {
            keys = new float[rows * heavy.length];
            for (int i = 0; i < keys.length; i++) {
                keys[i] = values.getFloat(i);
                if (ranking == Ranking.K) {
                    heavy[i % heavy.length] += Math.abs(keys[i]);
                }
            }
        }

        void queries(Tensor values, int rows) {
            if (ranking == Ranking.K) {
                return;
            }
            int headDim = attention.shape().headDim();
            for (int row = 0; row < rows; row++) {
                for (int head = 0; head < attention.queryHeads(); head++) {
                    for (int channel = 0; channel < headDim; channel++) {
                        int at = head / attention.group() * headDim + channel;
                        float query = values.getFloat(((long) row * attention.queryHeads() + head) * headDim + channel);
                        double key = ranking == Ranking.QK ? keys[row * heavy.length + at] : 1;
                        heavy[at] += Math.abs(query * key);
                    }
                }
            }
        }

        Tensor channels(Calibration calibration) {
            int headDim = attention.shape().headDim();
            int heads = attention.shape().heads();
            int[] channels = IntStream.range(0, heads)
                    .flatMap(head -> IntStream.range(0, headDim)
                            .boxed()
                            .sorted(Comparator.comparingDouble(channel -> -heavy[head * headDim + channel]))
                            .mapToInt(channel -> channel))
                    .toArray();
            return Tensor.copyOf(calibration.arena(), channels, heads, headDim);
        }
    }
}
