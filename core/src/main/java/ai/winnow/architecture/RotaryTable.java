package ai.winnow.architecture;

import ai.winnow.ir.Derivation;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The cosines or sines of rotary position embedding (Su et al. 2021), {@code F32 [positions, rotaryDim / 2]}: position {@code p}
 * turns pair {@code i} by {@code p * theta^(-2 i / rotaryDim)}, scaled. Computed in f64: at position 100,000 an angle in f32 is
 * off by a hundredth.
 *
 * @param frequencies how fast the pairs turn
 * @param wave which of the two
 */
record RotaryTable(Frequencies frequencies, Wave wave) implements Derivation {

    enum Wave {
        COS,
        SIN
    }

    /** How fast the {@code rotaryDim / 2} pairs of a head turn, in radians a position. */
    record Frequencies(int rotaryDim, double theta, Scaling scaling) {

        private static final Set<String> FIELDS = Set.of(
                "rope_type",
                "type",
                "rope_theta",
                "partial_rotary_factor",
                "factor",
                "low_freq_factor",
                "high_freq_factor",
                "original_max_position_embeddings");

        double radians(int pair) {
            return scaling.scale(Math.pow(theta, -2.0 * pair / rotaryDim));
        }

        /**
         * Reads {@code rope_parameters}, or the older {@code rope_scaling} with {@code rope_theta} beside it.
         *
         * @throws ai.winnow.UnsupportedModelException naming the field whose value is not computed
         */
        static Frequencies read(ModelConfig config, int headDim) {
            if (config.has("rope_parameters") && config.has("rope_scaling")) {
                throw config.unsupported("rope_scaling", "null, for rope_parameters is given");
            }
            ModelConfig rope = config.object("rope_parameters")
                    .or(() -> config.object("rope_scaling"))
                    .orElse(new ModelConfig(config.source(), Map.of()));
            rope.requireOnly(FIELDS);
            double theta = rope.positive("rope_theta", config.positive("rope_theta", 10_000));
            double part = rope.positive("partial_rotary_factor", config.positive("partial_rotary_factor", 1));
            int rotaryDim = (int) (headDim * part);
            if (part > 1 || rotaryDim < 2 || rotaryDim % 2 != 0) {
                throw (rope.has("partial_rotary_factor") ? rope : config)
                        .unsupported("partial_rotary_factor", "an even part of the " + headDim + " elements of a head");
            }
            String typeField = rope.has("rope_type") ? "rope_type" : "type";
            Scaling scaling =
                    switch (rope.text(typeField, rope.has("factor") ? "" : "default")) {
                        case "default" -> new Scaling.None();
                        case "linear" -> new Scaling.Linear(rope.positive("factor"));
                        case "llama3" -> llama3(rope);
                        default -> throw rope.unsupported(typeField, "one of default, linear, llama3");
                    };
            return new Frequencies(rotaryDim, theta, scaling);
        }

        private static Scaling llama3(ModelConfig rope) {
            double low = rope.positive("low_freq_factor");
            if (rope.positive("high_freq_factor") <= low) {
                throw rope.unsupported("high_freq_factor", "a number greater than low_freq_factor, " + low);
            }
            return new Scaling.Llama3(
                    rope.positive("factor"),
                    low,
                    rope.positive("high_freq_factor"),
                    rope.positive("original_max_position_embeddings"));
        }
    }

    /** How a model that was trained on few positions stretches the angles over many. */
    sealed interface Scaling {

        double scale(double frequency);

        /** Not at all. */
        record None() implements Scaling {
            @Override
            public double scale(double frequency) {
                return frequency;
            }
        }

        /** All pairs turn {@code factor} times slower (Chen et al. 2023). */
        record Linear(double factor) implements Scaling {
            @Override
            public double scale(double frequency) {
                return frequency / factor;
            }
        }

        /**
         * Pairs that turn often within the original context stay, those that hardly turn become {@code factor} times slower, and
         * those between are mixed (Llama 3.1, {@code rope_type} "llama3").
         *
         * @param lowFrequency turns within the original context below which a pair is slowed down fully
         * @param highFrequency turns within the original context above which a pair stays
         * @param originalPositions the original context
         */
        record Llama3(double factor, double lowFrequency, double highFrequency, double originalPositions)
                implements Scaling {
            @Override
            public double scale(double frequency) {
                double turns = originalPositions * frequency / (2 * Math.PI);
                double kept = Math.clamp((turns - lowFrequency) / (highFrequency - lowFrequency), 0.0, 1.0);
                return frequency * (kept + (1 - kept) / factor);
            }
        }
    }

    /** The table of {@code positions} positions as a weight. */
    static WeightRef weight(Frequencies frequencies, Wave wave, int positions) {
        TensorSpec spec = TensorSpec.of(DType.F32, positions, frequencies.rotaryDim / 2);
        String name = wave == Wave.COS ? "rotary.cos" : "rotary.sin";
        return WeightRef.derived(name, spec, new RotaryTable(frequencies, wave));
    }

    @Override
    public List<WeightRef> sources() {
        return List.of();
    }

    @Override
    public void compute(List<Tensor> sources, Tensor result) {
        int positions = Math.toIntExact(result.shape().max(0));
        int pairs = Math.toIntExact(result.shape().max(1));
        for (int pair = 0; pair < pairs; pair++) {
            double frequency = frequencies.radians(pair);
            for (int position = 0; position < positions; position++) {
                double angle = position * frequency;
                double value = wave == Wave.COS ? Math.cos(angle) : Math.sin(angle);
                DType.F32.setFloat(result.segment(), (long) position * pairs + pair, (float) value);
            }
        }
    }
}
