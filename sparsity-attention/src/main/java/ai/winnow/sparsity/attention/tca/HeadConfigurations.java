package ai.winnow.sparsity.attention.tca;

import ai.winnow.IncompatiblePolicyException;
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
import ai.winnow.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Gives each key-value head the sparsest configuration under which the last queries of the texts keep at least a share of {@code tau} of
 * their attention, averaged over texts, queries and the query heads that share the head; the dense one if none does. For each layer a tensor
 * {@code F32 [heads, log2(block) + 1]}: the shares of blocks that keep 1, 2, 4, … tokens.
 */
record HeadConfigurations(TcaAttention method) implements Calibrator {

    private static final double[] SPREADS = {0.5, 1, 2};

    static String name(int layer) {
        return "tca-attention/shares.layer." + layer;
    }

    /** All candidates, the sparsest first; the dense one last. */
    static List<Configuration> candidates(int block) {
        List<Configuration> candidates = new ArrayList<>();
        int steps = Integer.numberOfTrailingZeros(block);
        for (double mu = 0; mu <= steps; mu += 0.5) {
            for (double sigma : SPREADS) {
                candidates.add(Configuration.of(block, mu, sigma));
            }
        }
        candidates.sort(Comparator.comparingDouble(Configuration::density));
        candidates.add(Configuration.of(block, steps, 0));
        return candidates;
    }

    @Override
    public Map<String, Tensor> calibrate(Calibration calibration) {
        List<Configuration> candidates = candidates(method.block());
        Map<Integer, Layer> layers = new LinkedHashMap<>();
        Map<Probe, Observer> observers = new LinkedHashMap<>();
        for (Node node : calibration.graph(Phase.PREFILL).at(Role.ATTENTION)) {
            if (node.op() instanceof Attention attention && attention.window() == 0) {
                Layer layer = new Layer(attention, candidates);
                layers.put(attention.layer(), layer);
                observers.put(new Probe(Site.of(attention.layer(), Role.KV_APPEND), Tap.INPUT), layer::keys);
                observers.put(new Probe(node.site(), Tap.INPUT), layer);
            }
        }
        calibration.observe(observers);
        if (layers.values().stream().anyMatch(layer -> layer.texts == 0)) {
            throw new IncompatiblePolicyException("tca-attention: no text of the calibration has more than "
                    + (method.sink() + method.window() + method.block())
                    + " tokens (sink + window + block), below which all is kept; give longer ones (--window), as long as"
                    + " your prompts");
        }
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        layers.forEach((number, layer) -> tensors.put(name(number), layer.shares(calibration)));
        return tensors;
    }

    /** What the candidates keep of one layer's attention, which sees its queries; its keys come before them. */
    private final class Layer implements Observer {

        private final Attention attention;
        private final List<Configuration> candidates;
        private final double[][] kept;
        private int texts;

        /** Of the text so far: all keys, and the queries of the last rows. */
        private float[] keys = {};

        private float[] queries = {};

        Layer(Attention attention, List<Configuration> candidates) {
            this.attention = attention;
            this.candidates = candidates;
            this.kept = new double[attention.shape().heads()][candidates.size()];
        }

        void keys(Tensor values, int rows) {
            keys = with(
                    keys,
                    values,
                    rows * attention.shape().heads() * attention.shape().headDim());
        }

        @Override
        public void accept(Tensor values, int rows) {
            int width = attention.queryHeads() * attention.shape().headDim();
            float[] all = with(queries, values, rows * width);
            queries = Arrays.copyOfRange(all, Math.max(0, all.length - method.probes() * width), all.length);
        }

        private static float[] with(float[] before, Tensor values, int count) {
            float[] all = Arrays.copyOf(before, before.length + count);
            for (int i = 0; i < count; i++) {
                all[before.length + i] = values.getFloat(i);
            }
            return all;
        }

        @Override
        public void windowEnds() {
            int rows = keys.length / (kept.length * attention.shape().headDim());
            if (rows > method.sink() + method.window() + method.block()) { // else all of it would be kept
                texts++;
                for (int head = 0; head < kept.length; head++) {
                    compare(head, rows);
                }
            }
            keys = new float[0];
            queries = new float[0];
        }

        private void compare(int head, int rows) {
            int probes = Math.min(method.probes(), rows);
            List<double[]> shares = new ArrayList<>();
            for (int probe = 0; probe < probes; probe++) {
                for (int g = 0; g < attention.group(); g++) {
                    shares.add(attended(probe, rows - probes + probe, head, head * attention.group() + g));
                }
            }
            float[] importance = new float[rows];
            for (double[] each : shares) {
                for (int key = 0; key < each.length; key++) {
                    importance[key] = Math.max(importance[key], (float) each[key]);
                }
            }
            for (int i = 0; i < candidates.size(); i++) {
                boolean[] chosen = method.rule().choose(importance, 0, candidates.get(i));
                kept[head][i] += mass(shares, chosen) / shares.size();
            }
        }

        private double mass(List<double[]> shares, boolean[] chosen) {
            double mass = 0;
            for (double[] each : shares) {
                for (int key = 0; key < each.length; key++) {
                    mass += chosen[key] ? each[key] : 0;
                }
            }
            return mass;
        }

        /** How much query head {@code queryHead} of probe {@code probe}, which is row {@code row}, attends to each key up to its own. */
        private double[] attended(int probe, int row, int head, int queryHead) {
            int headDim = attention.shape().headDim();
            double[] shares = new double[row + 1];
            double most = Double.NEGATIVE_INFINITY;
            for (int key = 0; key <= row; key++) {
                double dot = 0;
                for (int d = 0; d < headDim; d++) {
                    dot += (double) queries[(probe * attention.queryHeads() + queryHead) * headDim + d]
                            * keys[(key * kept.length + head) * headDim + d];
                }
                shares[key] = dot * attention.scale();
                most = Math.max(most, shares[key]);
            }
            double sum = 0;
            for (int key = 0; key <= row; key++) {
                shares[key] = Math.exp(shares[key] - most);
                sum += shares[key];
            }
            for (int key = 0; key <= row; key++) {
                shares[key] /= sum;
            }
            return shares;
        }

        Tensor shares(Calibration calibration) {
            int counts = candidates.getFirst().shares().size();
            float[] shares = new float[kept.length * counts];
            for (int head = 0; head < kept.length; head++) {
                int best = 0;
                while (best < candidates.size() - 1 && !(kept[head][best] / texts >= method.tau())) {
                    best++;
                }
                for (int i = 0; i < counts; i++) {
                    shares[head * counts + i] = candidates.get(best).shares().get(i);
                }
            }
            return Tensor.copyOf(calibration.arena(), shares, kept.length, counts);
        }
    }
}
