package ai.winnow.architecture;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.contract.ArchitectureContract;
import ai.winnow.contract.InterpretedModel;
import ai.winnow.contract.InterpretedModel.Rows;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StepLimits;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every kin and every variant, with small random weights, against a decoder written down a second time. */
class LlamaKinTest {

    private static final int HIDDEN = 20;
    private static final int INNER = 28;
    private static final int HEADS = 4;
    private static final int KEY_VALUE_HEADS = 2;
    private static final int LAYERS = 3;
    private static final int VOCABULARY = 33;
    private static final int[] IDS = {5, 1, 30, 7, 7, 0, 32, 12, 19, 3, 28, 8, 16, 2, 31, 9, 11, 24, 6, 13};

    /**
     * @param json what the configuration has beside the sizes
     * @param windows rows each layer sees, 0 for all
     */
    record Variant(
            String name,
            String json,
            int headDim,
            double[] frequencies,
            boolean interleaved,
            int[] windows,
            DoubleUnaryOperator activation,
            List<String> parts) {

        static Variant of(String name, String model, String fields) {
            String json = "\"architectures\": [\"" + model + "\"]" + (fields.isEmpty() ? "" : ", " + fields);
            return new Variant(
                    name, json, 5 * 2, plain(10, 10_000), false, new int[LAYERS], LlamaKinTest::silu, List.of());
        }

        Variant frequencies(double... changed) {
            return new Variant(name, json, headDim, changed, interleaved, windows, activation, parts);
        }

        Variant interleave() {
            return new Variant(name, json, headDim, frequencies, true, windows, activation, parts);
        }

        Variant windows(int... changed) {
            return new Variant(name, json, headDim, frequencies, interleaved, changed, activation, parts);
        }

        Variant activation(DoubleUnaryOperator changed) {
            return new Variant(name, json, headDim, frequencies, interleaved, windows, changed, parts);
        }

        /** Adds weights: {@code q_proj.bias}, {@code q_norm.weight}, {@code lm_head.weight}. */
        Variant with(String... more) {
            return new Variant(name, json, headDim, frequencies, interleaved, windows, activation, List.of(more));
        }

        @Override
        public String toString() {
            return name;
        }
    }

    static Stream<Variant> variants() {
        String llama = "LlamaForCausalLM";
        String llama3 = """
                "rope_theta": 500.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32}""";
        String[] inputBiases = {"q_proj.bias", "k_proj.bias", "v_proj.bias"};
        String[] attentionBiases = {"q_proj.bias", "k_proj.bias", "v_proj.bias", "o_proj.bias"};
        String[] headNorms = {"q_norm.weight", "k_norm.weight"};
        return Stream.of(
                Variant.of("tied", llama, "\"tie_word_embeddings\": true"),
                Variant.of("untied", llama, "").with("lm_head.weight"),
                Variant.of("attention bias", llama, "\"attention_bias\": true").with(attentionBiases),
                Variant.of("mlp bias", llama, "\"mlp_bias\": true")
                        .with("gate_proj.bias", "up_proj.bias", "down_proj.bias"),
                Variant.of("gelu", llama, "\"hidden_act\": \"gelu\"").activation(LlamaKinTest::gelu),
                Variant.of("gelu tanh", llama, "\"hidden_act\": \"gelu_pytorch_tanh\"")
                        .activation(LlamaKinTest::geluTanh),
                Variant.of("gelu new", llama, "\"hidden_act\": \"gelu_new\"").activation(LlamaKinTest::geluTanh),
                Variant.of("relu", llama, "\"hidden_act\": \"relu\"").activation(x -> Math.max(x, 0)),
                Variant.of("theta", llama, "\"rope_theta\": 100").frequencies(plain(10, 100)),
                Variant.of("new theta", llama, "\"rope_parameters\": {\"rope_theta\": 100, \"rope_type\": \"default\"}")
                        .frequencies(plain(10, 100)),
                Variant.of("linear", llama, "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}")
                        .frequencies(
                                Arrays.stream(plain(10, 10_000)).map(f -> f / 4).toArray()),
                Variant.of("llama3", llama, llama3).frequencies(llama3(10, 500, 8, 1, 4, 32)),
                Variant.of("partial", llama, "\"partial_rotary_factor\": 0.6").frequencies(plain(6, 10_000)),
                Variant.of("interleaved", llama, "\"rope_interleave\": true").interleave(),
                Variant.of("interleaved partial", llama, "\"rope_interleave\": true, \"partial_rotary_factor\": 0.4")
                        .frequencies(plain(4, 10_000))
                        .interleave(),
                Variant.of("mistral window", "MistralForCausalLM", "\"sliding_window\": 5")
                        .windows(5, 5, 5),
                Variant.of("mistral", "MistralForCausalLM", "\"sliding_window\": null"),
                Variant.of("qwen2", "Qwen2ForCausalLM", "\"sliding_window\": 5").with(inputBiases),
                Variant.of(
                                "qwen2 window",
                                "Qwen2ForCausalLM",
                                "\"use_sliding_window\": true, \"sliding_window\": 4, \"max_window_layers\": 1")
                        .with(inputBiases)
                        .windows(0, 4, 4),
                Variant.of("qwen3", "Qwen3ForCausalLM", "\"rope_theta\": 1000000")
                        .frequencies(plain(10, 1_000_000))
                        .with(headNorms),
                Variant.of("qwen3 layers", "Qwen3ForCausalLM", """
                                "use_sliding_window": true, "sliding_window": 3,
                                "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]""")
                        .with(headNorms)
                        .windows(3, 0, 3));
    }

    @ParameterizedTest
    @MethodSource("variants")
    void equalsAPlainDecoder(Variant variant) {
        try (Arena arena = Arena.ofConfined()) {
            Map<String, Tensor> tensors = randomWeights(variant, arena);
            float[][] expected = plain(variant, tensors).forward(IDS);
            float[][] found = model(variant, tensors, arena).step(Phase.PREFILL, new Rows(0, IDS));
            for (int row = 0; row < IDS.length; row++) {
                ArchitectureContract.assertClose(found[row], expected[row], 1e-5f, variant + ", row " + row);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("variants")
    void decodingEqualsAPlainDecoder(Variant variant) {
        try (Arena arena = Arena.ofConfined()) {
            Map<String, Tensor> tensors = randomWeights(variant, arena);
            float[][] expected = plain(variant, tensors).forward(IDS);
            InterpretedModel model = model(variant, tensors, arena);
            model.step(Phase.PREFILL, new Rows(1, Arrays.copyOf(IDS, 3)));
            for (int row = 3; row < IDS.length; row++) {
                float[][] found = model.step(Phase.DECODE, new Rows(1, IDS[row]));
                ArchitectureContract.assertClose(found[0], expected[row], 1e-5f, variant + ", row " + row);
            }
        }
    }

    /** A variant that changed nothing would prove nothing. */
    @ParameterizedTest
    @MethodSource("variants")
    void everyVariantChangesTheResult(Variant variant) {
        boolean base = variant.name.equals("tied") || variant.name.equals("mistral");
        try (Arena arena = Arena.ofConfined()) {
            Map<String, Tensor> tensors = randomWeights(variant, arena);
            Map<String, Tensor> without = new HashMap<>(tensors);
            variant.parts.forEach(part -> without.keySet().removeIf(name -> name.endsWith(part)));
            float[] found = plain(variant, tensors).forward(IDS)[IDS.length - 1];
            float[] plain = new PlainDecoder(
                            without,
                            HEADS,
                            KEY_VALUE_HEADS,
                            variant.headDim,
                            plain(variant.headDim, 10_000),
                            false,
                            new int[LAYERS],
                            1e-6,
                            LlamaKinTest::silu)
                    .forward(IDS)[IDS.length - 1];
            double difference = IntStream.range(0, found.length)
                    .mapToDouble(i -> Math.abs(found[i] - plain[i]))
                    .max()
                    .orElseThrow();
            assertThat(difference > 1e-3)
                    .as("%s differs by %s", variant, difference)
                    .isEqualTo(!base);
        }
    }

    private static PlainDecoder plain(Variant variant, Map<String, Tensor> tensors) {
        return new PlainDecoder(
                tensors,
                HEADS,
                KEY_VALUE_HEADS,
                variant.headDim,
                variant.frequencies,
                variant.interleaved,
                variant.windows,
                1e-6,
                variant.activation);
    }

    private static InterpretedModel model(Variant variant, Map<String, Tensor> tensors, Arena arena) {
        String tied = variant.json.contains("tie_word") || variant.parts.contains("lm_head.weight")
                ? ""
                : ", \"tie_word_embeddings\": true";
        ModelConfig config = ModelConfig.parse("""
                {%s%s, "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d,
                 "num_key_value_heads": %d, "head_dim": %d, "vocab_size": %d, "max_position_embeddings": 64}
                """.formatted(
                variant.json, tied, HIDDEN, INNER, LAYERS, HEADS, KEY_VALUE_HEADS, variant.headDim, VOCABULARY));
        ModelDefinition definition = Architecture.of(config)
                .define(
                        config,
                        name -> {
                            Tensor tensor = tensors.get(name);
                            return tensor == null ? null : tensor.spec();
                        },
                        null);
        StepLimits limits = new StepLimits(32, 2, 32, 64, DType.F32);
        return new InterpretedModel(definition, tensors, arena, limits, UnaryOperator.identity());
    }

    private static Map<String, Tensor> randomWeights(Variant variant, Arena arena) {
        Random random = new Random(variant.name.hashCode()); // the variant's name, printed with a failure, is the seed
        Map<String, Tensor> tensors = new HashMap<>();
        int queries = HEADS * variant.headDim;
        int keys = KEY_VALUE_HEADS * variant.headDim;
        put(tensors, arena, random, "model.embed_tokens.weight", 1, VOCABULARY, HIDDEN);
        put(tensors, arena, random, "model.norm.weight", 1, HIDDEN);
        if (variant.parts.contains("lm_head.weight")) {
            put(tensors, arena, random, "lm_head.weight", 1, VOCABULARY, HIDDEN);
        }
        for (int layer = 0; layer < LAYERS; layer++) {
            String prefix = "model.layers." + layer + ".";
            put(tensors, arena, random, prefix + "input_layernorm.weight", 1, HIDDEN);
            put(tensors, arena, random, prefix + "post_attention_layernorm.weight", 1, HIDDEN);
            linear(tensors, arena, random, variant, prefix + "self_attn.", "q_proj", queries, HIDDEN);
            linear(tensors, arena, random, variant, prefix + "self_attn.", "k_proj", keys, HIDDEN);
            linear(tensors, arena, random, variant, prefix + "self_attn.", "v_proj", keys, HIDDEN);
            linear(tensors, arena, random, variant, prefix + "self_attn.", "o_proj", HIDDEN, queries);
            linear(tensors, arena, random, variant, prefix + "mlp.", "gate_proj", INNER, HIDDEN);
            linear(tensors, arena, random, variant, prefix + "mlp.", "up_proj", INNER, HIDDEN);
            linear(tensors, arena, random, variant, prefix + "mlp.", "down_proj", HIDDEN, INNER);
            for (String norm : List.of("q_norm.weight", "k_norm.weight")) {
                if (variant.parts.contains(norm)) {
                    put(tensors, arena, random, prefix + "self_attn." + norm, 1, variant.headDim);
                }
            }
        }
        return tensors;
    }

    private static void linear(
            Map<String, Tensor> tensors,
            Arena arena,
            Random random,
            Variant variant,
            String prefix,
            String name,
            int rows,
            int columns) {
        put(tensors, arena, random, prefix + name + ".weight", 2 / Math.sqrt(columns), rows, columns);
        if (variant.parts.contains(name + ".bias")) {
            put(tensors, arena, random, prefix + name + ".bias", 0.5, rows);
        }
    }

    private static void put(
            Map<String, Tensor> tensors, Arena arena, Random random, String name, double deviation, long... sizes) {
        int count = (int) Arrays.stream(sizes).reduce(1, (a, b) -> a * b);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (random.nextGaussian() * deviation);
        }
        tensors.put(name, Tensor.copyOf(arena, values, sizes));
    }

    private static double[] plain(int rotaryDim, double theta) {
        return IntStream.range(0, rotaryDim / 2)
                .mapToDouble(pair -> 1 / Math.pow(theta, 2.0 * pair / rotaryDim))
                .toArray();
    }

    /** By wavelength, as the model's authors put it. */
    private static double[] llama3(int dim, double theta, double factor, double low, double high, double context) {
        return Arrays.stream(plain(dim, theta))
                .map(frequency -> {
                    double wavelength = 2 * Math.PI / frequency;
                    if (wavelength < context / high) {
                        return frequency;
                    }
                    if (wavelength > context / low) {
                        return frequency / factor;
                    }
                    double smooth = (context / wavelength - low) / (high - low);
                    return (1 - smooth) * frequency / factor + smooth * frequency;
                })
                .toArray();
    }

    private static double silu(double x) {
        return x / (1 + Math.exp(-x));
    }

    private static double geluTanh(double x) {
        return x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    }

    /** With the error function as its power series, which converges everywhere. */
    private static double gelu(double x) {
        double z = x / Math.sqrt(2);
        double term = z;
        double sum = 0;
        for (int n = 0; n < 200; n++) {
            sum += term / (2 * n + 1);
            term *= -z * z / (n + 1);
        }
        double erf = Math.abs(z) > 4 ? Math.signum(z) : 2 / Math.sqrt(Math.PI) * sum;
        return x / 2 * (1 + erf);
    }
}
