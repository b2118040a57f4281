package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.FeedForwardProblem.Method;
import ai.winnow.io.TensorSource;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The numbers of a gated feed-forward network and what comes of them in f64. Weights are whole numbers of 8 bits times a power of
 * two, which every type holds exactly: there is one result for all of them. Thresholds lie in gaps between magnitudes, so that
 * rounding moves nothing across them.
 *
 * @param x the input, {@code [hidden]}
 * @param inputThreshold inputs that are not greater are skipped; 0 if none are
 * @param innerThreshold the same of the activations (CATS) or of the products (TEAL)
 * @param share of the weights that has to be read
 * @param product what down multiplies, {@code [intermediate]}
 * @param lost how far each product may lie off in f32, {@code [intermediate]}
 */
record FeedForwardNumbers(
        int hidden,
        int intermediate,
        float[] x,
        float inputThreshold,
        float innerThreshold,
        double share,
        double[] product,
        double[] lost)
        implements TensorSource {

    static final String GATE = "gate";
    static final String UP = "up";
    static final String DOWN = "down";

    private static final int GREATEST = 127;
    private static final int PERIOD = 1_000_003;
    private static final int SAMPLES = 200;

    /** How many neighbours are searched for the widest gap. */
    private static final int NEIGHBOURS = 20;

    static FeedForwardNumbers of(int hidden, int intermediate, Method method, float sparsity) {
        SplittableRandom random = new SplittableRandom(11);
        float[] x = new float[hidden];
        for (int i = 0; i < hidden; i++) {
            x[i] = (float) random.nextGaussian();
        }
        boolean cats = method == Method.SMALL_ACTIVATIONS;
        boolean teal = method == Method.SMALL_INPUTS;
        float inputThreshold = teal ? threshold(IntStream.range(0, hidden).mapToDouble(i -> x[i]), sparsity) : 0;
        Layer gate = Layer.of(GATE, x, inputThreshold, intermediate);
        Layer up = Layer.of(UP, x, inputThreshold, intermediate);
        double[] active =
                Arrays.stream(gate.sums).map(g -> g / (1 + Math.exp(-g))).toArray();
        double[] product = new double[intermediate];
        double[] lost = new double[intermediate];
        for (int i = 0; i < intermediate; i++) {
            product[i] = active[i] * up.sums[i];
            // The slope of silu is at most 1.1; it and the product are rounded by themselves.
            lost[i] = Math.abs(up.sums[i]) * 1.1 * gate.lost[i]
                    + Math.abs(active[i]) * up.lost[i]
                    + 16 * 0x1p-24 * Math.abs(product[i]);
        }
        float innerThreshold = 0;
        int kept = intermediate;
        if (cats || teal) {
            double[] judged = cats ? active : product;
            innerThreshold = threshold(Arrays.stream(judged), sparsity);
            for (int i = 0; i < intermediate; i++) {
                if (Math.abs(judged[i]) <= innerThreshold) {
                    product[i] = 0;
                    lost[i] = 0;
                    kept--;
                }
            }
        }
        double inner = (double) kept / intermediate;
        double outer = (double) gate.kept / hidden;
        double share = cats ? (1 + 2 * inner) / 3 : (2 * outer + inner) / 3;
        return new FeedForwardNumbers(hidden, intermediate, x, inputThreshold, innerThreshold, share, product, lost);
    }

    /** What a share of the magnitudes does not exceed, in the middle of the widest gap nearby. */
    private static float threshold(DoubleStream numbers, float sparsity) {
        double[] sorted = numbers.map(Math::abs).sorted().toArray();
        int at = Math.round(sparsity * sorted.length);
        int best = at;
        for (int i = at - NEIGHBOURS; i <= at + NEIGHBOURS; i++) {
            if (sorted[i] - sorted[i - 1] > sorted[best] - sorted[best - 1]) {
                best = i;
            }
        }
        return (float) ((sorted[best] + sorted[best - 1]) / 2);
    }

    /** Outputs of gate or up. */
    private record Layer(double[] sums, double[] lost, int kept) {
        static Layer of(String name, float[] x, float threshold, int outputs) {
            int[] inputs = IntStream.range(0, x.length)
                    .filter(i -> threshold == 0 || Math.abs(x[i]) > threshold)
                    .toArray();
            byte[] numbers = numbers(name);
            double scale = scale(x.length);
            double[] sums = new double[outputs];
            double[] lost = new double[outputs];
            IntStream.range(0, outputs).parallel().forEach(o -> {
                double sum = 0;
                double magnitudes = 0;
                for (int i : inputs) {
                    double term = number(numbers, o, i, x.length) * scale * x[i];
                    sum += term;
                    magnitudes += Math.abs(term);
                }
                sums[o] = sum;
                lost[o] = chain(inputs.length) * magnitudes;
            });
            return new Layer(sums, lost, inputs.length);
        }
    }

    /** What a chain of f32 additions may lose of its magnitudes, as ai.winnow.contract.Tolerance has it. */
    private static double chain(int terms) {
        return (8 + 2 * Math.sqrt(terms)) * 0x1p-24;
    }

    /**
     * The greatest error of some outputs as a share of what is allowed. What was lost before adds up as independent errors do; four
     * standard deviations are allowed, and what the sum itself loses.
     *
     * @param y {@code [hidden]}
     */
    double error(float[] y) {
        byte[] numbers = numbers(DOWN);
        double scale = scale(intermediate);
        SplittableRandom random = new SplittableRandom(3);
        double worst = 0;
        for (int sample = 0; sample < SAMPLES; sample++) {
            int output = random.nextInt(hidden);
            double sum = 0;
            double magnitudes = 0;
            double squares = 0;
            for (int i = 0; i < intermediate; i++) {
                double weight = number(numbers, output, i, intermediate) * scale;
                sum += weight * product[i];
                magnitudes += Math.abs(weight * product[i]);
                squares += weight * lost[i] * weight * lost[i];
            }
            double error = Math.abs(y[output] - sum) / (4 * Math.sqrt(squares) + chain(intermediate) * magnitudes);
            worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
        }
        return worst;
    }

    /** The first of each row is the greatest, so that int8 weights get the very scale. */
    private static int number(byte[] numbers, int output, int input, int inputs) {
        return input == 0 ? GREATEST : numbers[(int) (((long) output * inputs + input) % PERIOD)];
    }

    private static byte[] numbers(String name) {
        SplittableRandom random = new SplittableRandom(name.hashCode());
        byte[] numbers = new byte[PERIOD];
        for (int i = 0; i < PERIOD; i++) {
            numbers[i] = (byte) random.nextInt(-GREATEST, GREATEST + 1);
        }
        return numbers;
    }

    /** A power of two that gives sums of about the size of the inputs. */
    private static double scale(int inputs) {
        double deviation = GREATEST / Math.sqrt(3);
        return Math.scalb(1.0, -Math.getExponent(deviation * Math.sqrt(inputs)));
    }

    @Override
    public Set<String> names() {
        return Set.of(GATE, UP, DOWN);
    }

    @Override
    public @Nullable TensorSpec spec(String name) {
        return switch (name) {
            case GATE, UP -> TensorSpec.of(DType.F32, intermediate, hidden);
            case DOWN -> TensorSpec.of(DType.F32, hidden, intermediate);
            default -> null;
        };
    }

    @Override
    public Tensor load(String name, Arena arena) {
        TensorSpec spec = Objects.requireNonNull(spec(name), name);
        Tensor tensor = Tensor.allocate(arena, spec, Layout.ROW_MAJOR);
        float scale = (float) scale(Math.toIntExact(spec.shape().max(1)));
        byte[] numbers = numbers(name);
        float[] floats = new float[PERIOD];
        for (int i = 0; i < PERIOD; i++) {
            floats[i] = numbers[i] * scale;
        }
        MemorySegment target = tensor.segment();
        long count = spec.shape().maxElements();
        for (long at = 0; at < count; at += PERIOD) {
            int some = (int) Math.min(PERIOD, count - at);
            MemorySegment.copy(floats, 0, target, ValueLayout.JAVA_FLOAT, 4 * at, some);
        }
        long columns = spec.shape().max(1);
        for (long at = 0; at < count; at += columns) {
            target.setAtIndex(ValueLayout.JAVA_FLOAT, at, GREATEST * scale);
        }
        return tensor;
    }

    @Override
    public String fingerprint() {
        return "0000000000000000";
    }

    @Override
    public void close() {
        // There is no file.
    }
}
