package ai.winnow.contract;

import ai.winnow.architecture.ModelConfig;
import ai.winnow.io.Artefact;
import ai.winnow.io.Fingerprint;
import ai.winnow.io.TensorSource;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.ReferenceProvider;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A random decoder that is small enough for the reference backend: 2 layers, hidden size 32, vocabulary 61. Weights keep the scale
 * of activations, gains of norms vary around 1, so that a method that forgets them is found out.
 */
public record TinyModel(ModelConfig config, Map<String, Tensor> tensors) {

    public static final int VOCABULARY = 61;

    private static final int HIDDEN = 32;
    private static final int INNER = 48;
    private static final int HEADS = 4;
    private static final int HEAD_DIM = 8;
    private static final int LAYERS = 2;

    /** As many key-value heads as query heads, embedding and head apart. */
    public static TinyModel llama(long seed) {
        return make(seed, "LlamaForCausalLM", HEADS, "\"tie_word_embeddings\": false");
    }

    /** Two query heads share a key-value head. */
    public static TinyModel grouped(long seed) {
        return make(seed, "LlamaForCausalLM", 2, "\"tie_word_embeddings\": false");
    }

    /** The embedding is the head as well; two query heads share a key-value head. */
    public static TinyModel tied(long seed) {
        return make(seed, "LlamaForCausalLM", 2, "\"tie_word_embeddings\": true");
    }

    /** Every linear layer but the head has a bias. */
    public static TinyModel biased(long seed) {
        return make(seed, "LlamaForCausalLM", 2, "\"attention_bias\": true, \"mlp_bias\": true");
    }

    private static TinyModel make(long seed, String architecture, int keyValueHeads, String fields) {
        ModelConfig config = ModelConfig.parse(
                """
                {"architectures": ["%s"], "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
                 "num_attention_heads": %d, "num_key_value_heads": %d, "vocab_size": %d,
                 "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "hidden_act": "silu", %s}
                """.formatted(architecture, HIDDEN, INNER, LAYERS, HEADS, keyValueHeads, VOCABULARY, fields));
        SplittableRandom random = new SplittableRandom(seed);
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        matrix(tensors, random, "model.embed_tokens", VOCABULARY, HIDDEN);
        for (int layer = 0; layer < LAYERS; layer++) {
            String prefix = "model.layers." + layer + ".";
            gain(tensors, random, prefix + "input_layernorm");
            projection(tensors, random, config, prefix + "self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN);
            projection(tensors, random, config, prefix + "self_attn.k_proj", keyValueHeads * HEAD_DIM, HIDDEN);
            projection(tensors, random, config, prefix + "self_attn.v_proj", keyValueHeads * HEAD_DIM, HIDDEN);
            projection(tensors, random, config, prefix + "self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM);
            gain(tensors, random, prefix + "post_attention_layernorm");
            projection(tensors, random, config, prefix + "mlp.gate_proj", INNER, HIDDEN);
            projection(tensors, random, config, prefix + "mlp.up_proj", INNER, HIDDEN);
            projection(tensors, random, config, prefix + "mlp.down_proj", HIDDEN, INNER);
        }
        gain(tensors, random, "model.norm");
        if (!config.flag("tie_word_embeddings", false)) {
            matrix(tensors, random, "lm_head", VOCABULARY, HIDDEN);
        }
        return new TinyModel(config, tensors);
    }

    private static void projection(
            Map<String, Tensor> tensors, SplittableRandom random, ModelConfig config, String name, int out, int in) {
        matrix(tensors, random, name, out, in);
        if (config.flag(name.contains("mlp") ? "mlp_bias" : "attention_bias", false)) {
            fill(tensors, random, name + ".bias", Fill.normal(0.3), out);
        }
    }

    private static void matrix(Map<String, Tensor> tensors, SplittableRandom random, String name, int out, int in) {
        fill(tensors, random, name + ".weight", Fill.normal(1 / Math.sqrt(in)), out, in);
    }

    private static void gain(Map<String, Tensor> tensors, SplittableRandom random, String name) {
        fill(tensors, random, name + ".weight", Fill.uniform(0.5, 1.5), HIDDEN);
    }

    private static void fill(
            Map<String, Tensor> tensors, SplittableRandom random, String name, Fill fill, long... sizes) {
        Tensor tensor = Tensor.allocate(Arena.ofAuto(), DType.F32, sizes);
        fill.fill(tensor, random);
        tensors.put(name, tensor);
    }

    /** Small options: context 96, 3 sequences, 20 rows a step, 1 thread, no warm-up. */
    public static ModelOptions options() {
        return ModelOptions.defaults()
                .withWarmUp(false)
                .withContextLength(96)
                .withMaxSequences(3)
                .withMaxStepTokens(20)
                .withThreads(1);
    }

    /** This model on the reference backend. */
    public SparseModel load(SparsityPolicy policy, Map<String, Artefact> artefacts) {
        return SparseModel.of(
                config,
                source(),
                policy,
                options().withArtefacts(artefacts),
                Backends.of(List.of(new ReferenceProvider())));
    }

    /** {@code count} windows of {@code length} random tokens. */
    public static List<int[]> windows(long seed, int count, int length) {
        SplittableRandom random = new SplittableRandom(seed);
        return java.util.stream.Stream.generate(
                        () -> random.ints(length, 0, VOCABULARY).toArray())
                .limit(count)
                .toList();
    }

    /** The weights as a checkpoint. */
    public TensorSource source() {
        return new InMemory(tensors);
    }

    private record InMemory(Map<String, Tensor> tensors) implements TensorSource {
        @Override
        public Set<String> names() {
            return tensors.keySet();
        }

        @Override
        public @Nullable TensorSpec spec(String name) {
            Tensor tensor = tensors.get(name);
            return tensor == null ? null : tensor.spec();
        }

        @Override
        public Tensor load(String name, Arena arena) {
            return java.util.Objects.requireNonNull(tensors.get(name), name);
        }

        @Override
        public String fingerprint() {
            Fingerprint fingerprint = new Fingerprint();
            new TreeMap<>(tensors)
                    .forEach((name, tensor) -> fingerprint.add(name).add(tensor));
            return fingerprint.hex();
        }

        @Override
        public void close() {
            // The tensors belong to the garbage collector.
        }
    }
}
