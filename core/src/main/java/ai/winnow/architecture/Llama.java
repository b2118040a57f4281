package ai.winnow.architecture;

import ai.winnow.ShapeException;
import ai.winnow.architecture.RotaryTable.Frequencies;
import ai.winnow.architecture.RotaryTable.Wave;
import ai.winnow.ir.Activation;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Embedding;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Gather;
import ai.winnow.ir.RmsNorm;
import ai.winnow.ir.Role;
import ai.winnow.ir.Rotary;
import ai.winnow.ir.Site;
import ai.winnow.ir.StandardInputs;
import ai.winnow.ir.StepLimits;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Llama 1 to 3 (Touvron et al. 2023, Dubey et al. 2024) and its kin Mistral, Qwen2 and Qwen3, as Hugging Face stores them:
 * pre-norm decoder layers of grouped-query attention with rotary positions and a gated feed-forward network. The kin differ in
 * biases, in norms of queries and keys, and in which layers see a sliding window only.
 */
public final class Llama implements Architecture {

    private enum Kin {
        LLAMA("LlamaForCausalLM"),
        MISTRAL("MistralForCausalLM"),
        QWEN2("Qwen2ForCausalLM"),
        QWEN3("Qwen3ForCausalLM");

        final String modelName;

        Kin(String modelName) {
            this.modelName = modelName;
        }
    }

    /** Fields of relatives of this family that change what is computed, unless they are null, false or 1. */
    private static final List<String> FOREIGN_FIELDS = List.of(
            "add_cross_attention",
            "attention_chunk_size",
            "attn_logit_softcapping",
            "compression_config",
            "final_logit_softcapping",
            "is_encoder_decoder",
            "no_rope_layers",
            "num_experts",
            "num_local_experts",
            "pretraining_tp",
            "qk_layernorm",
            "quantization_config",
            "use_mrope",
            "use_qk_norm");

    /** A linear layer's weights. */
    private record Projection(WeightRef weight, @Nullable WeightRef bias) {}

    /** A layer's weights; {@code window} is how many of the latest rows it sees, 0 for all. */
    private record Layer(
            WeightRef attentionNorm,
            Projection query,
            Projection key,
            Projection value,
            @Nullable WeightRef queryNorm,
            @Nullable WeightRef keyNorm,
            Projection output,
            WeightRef mlpNorm,
            Projection gate,
            Projection up,
            Projection down,
            int window) {}

    @Override
    public String name() {
        return "llama";
    }

    @Override
    public List<String> modelNames() {
        return Stream.of(Kin.values()).map(kin -> kin.modelName).toList();
    }

    @Override
    public boolean matches(ModelConfig config) {
        return kin(config) != null;
    }

    @Override
    public ModelDefinition define(
            ModelConfig config, Function<String, @Nullable TensorSpec> weights, @Nullable DType matrixType) {
        Kin kin = kin(config);
        if (kin == null) {
            throw config.unsupported("architectures", "one of " + modelNames());
        }
        FOREIGN_FIELDS.forEach(config::requireNeutral);
        Dimensions dimensions = dimensions(config, kin);
        Checkpoint checkpoint = new Checkpoint(weights, matrixType);
        int hidden = dimensions.hiddenSize();
        int vocabulary = dimensions.vocabSize();
        String head = config.flag("tie_word_embeddings", false) ? "model.embed_tokens" : "lm_head";
        // In the order of the components: all of the configuration is read before the first weight is looked up.
        return new Decoder(
                dimensions,
                Frequencies.read(config, dimensions.headDim()),
                config.flag("rope_interleave", false) ? Rotary.Pairing.INTERLEAVED : Rotary.Pairing.HALF_SPLIT,
                activation(config),
                (float) config.positive("rms_norm_eps", 1e-6),
                config.integers("bos_token_id", 0, vocabulary - 1).stream()
                        .mapToInt(id -> id)
                        .findFirst(),
                Set.copyOf(config.integers("eos_token_id", 0, vocabulary - 1)),
                layers(config, kin, dimensions, checkpoint),
                checkpoint.table("model.embed_tokens.weight", vocabulary, hidden),
                checkpoint.vector("model.norm.weight", hidden),
                checkpoint.matrix(head + ".weight", vocabulary, hidden));
    }

    /** The model: immutable, everything checked. */
    private record Decoder(
            Dimensions dimensions,
            Frequencies frequencies,
            Rotary.Pairing pairing,
            Activation.Kind activation,
            float epsilon,
            OptionalInt beginToken,
            Set<Integer> stopTokens,
            List<Layer> layers,
            WeightRef embedding,
            WeightRef finalNorm,
            WeightRef head)
            implements ModelDefinition {

        @Override
        public String family() {
            return "llama";
        }

        @Override
        public Set<Phase> phases() {
            return Set.of(Phase.PREFILL, Phase.DECODE, Phase.VERIFY);
        }

        @Override
        public KvShape kvShape(StepLimits limits) {
            return dimensions.kvShape(limits);
        }

        @Override
        public Graph graph(Phase phase, StepLimits limits) {
            if (!phases().contains(phase)) {
                throw new IllegalArgumentException("a decoder has graphs for " + phases() + ", not for " + phase);
            }
            if (limits.contextLength() > dimensions.maxPositions()) {
                throw new ShapeException("a context of " + limits.contextLength() + " positions is longer than the "
                        + dimensions.maxPositions() + " the model was made for (max_position_embeddings)");
            }
            return new Recording(this, phase, limits).graph();
        }
    }

    /** One graph while it is recorded. */
    private static final class Recording {

        private final Decoder model;
        private final GraphBuilder builder;
        private final StandardInputs inputs;
        private final StandardInputs.Kv kv;
        private final List<Value> cached;
        private final Value cos;
        private final Value sin;

        Recording(Decoder model, Phase phase, StepLimits limits) {
            this.model = model;
            this.builder = new GraphBuilder(phase);
            this.inputs = StandardInputs.declare(builder, limits);
            this.kv = StandardInputs.Kv.declare(builder, model.kvShape(limits));
            this.cached = Stream.concat(
                            Stream.of(inputs.sequence(), inputs.indptr(), inputs.slots()), kv.operands().stream())
                    .toList();
            this.cos = builder.weight(RotaryTable.weight(model.frequencies, Wave.COS, limits.contextLength()));
            this.sin = builder.weight(RotaryTable.weight(model.frequencies, Wave.SIN, limits.contextLength()));
        }

        Graph graph() {
            Value table = builder.weight(model.embedding);
            Value x = builder.add(
                    new Embedding(), Site.global(Role.TOKEN_EMBED), inputs.ids(), table); // [tokens, hidden]
            for (int layer = 0; layer < model.layers.size(); layer++) {
                x = attention(layer, x);
                x = mlp(layer, x);
            }
            // Only the rows whose logits are asked for go on.
            Value last = builder.add(
                    new Gather(), Site.global(Role.SELECT_ROWS), x, inputs.outputRows()); // [outputs, hidden]
            Value hidden = norm(Site.global(Role.FINAL_NORM), last, model.finalNorm);
            Value logits = linear(Site.global(Role.HEAD), hidden, new Projection(model.head, null)); // [outputs, vocab]
            return builder.build(List.of(logits, hidden));
        }

        private Value attention(int layer, Value x) {
            Layer weights = model.layers.get(layer);
            Dimensions d = model.dimensions;
            Value normed = norm(Site.of(layer, Role.ATTENTION_NORM), x, weights.attentionNorm); // [tokens, hidden]
            Value query = linear(Site.of(layer, Role.QUERY), normed, weights.query); // [tokens, heads * headDim]
            Value key = linear(Site.of(layer, Role.KEY), normed, weights.key); // [tokens, kvHeads * headDim]
            Value value = linear(Site.of(layer, Role.VALUE), normed, weights.value); // [tokens, kvHeads * headDim]
            query = weights.queryNorm == null ? query : norm(Site.of(layer, Role.QUERY_NORM), query, weights.queryNorm);
            key = weights.keyNorm == null ? key : norm(Site.of(layer, Role.KEY_NORM), key, weights.keyNorm);
            query = rotary(Site.of(layer, Role.QUERY_ROTARY), query);
            key = rotary(Site.of(layer, Role.KEY_ROTARY), key);
            builder.add(new KvAppend(kv.shape(), layer), Site.of(layer, Role.KV_APPEND), with(cached, key, value));
            int window = weights.window < kv.shape().contextLength() ? weights.window : 0;
            float scale = (float) (1 / Math.sqrt(d.headDim()));
            Attention op = new Attention(kv.shape(), layer, d.numAttentionHeads(), scale, window);
            Value heads = builder.add(op, Site.of(layer, Role.ATTENTION), with(cached, query))
                    .getFirst();
            Value output = linear(Site.of(layer, Role.OUTPUT), heads, weights.output); // [tokens, hidden]
            return builder.add(new Binary(Binary.Operator.ADD), Site.of(layer, Role.ATTENTION_RESIDUAL), x, output);
        }

        private Value mlp(int layer, Value x) {
            Layer weights = model.layers.get(layer);
            Value normed = norm(Site.of(layer, Role.MLP_NORM), x, weights.mlpNorm); // [tokens, hidden]
            Value gate = linear(Site.of(layer, Role.GATE), normed, weights.gate); // [tokens, intermediate]
            Value active = builder.add(new Activation(model.activation), Site.of(layer, Role.ACTIVATION), gate);
            Value up = linear(Site.of(layer, Role.UP), normed, weights.up); // [tokens, intermediate]
            Value product = builder.add(new Binary(Binary.Operator.MUL), Site.of(layer, Role.PRODUCT), active, up);
            Value down = linear(Site.of(layer, Role.DOWN), product, weights.down); // [tokens, hidden]
            return builder.add(new Binary(Binary.Operator.ADD), Site.of(layer, Role.MLP_RESIDUAL), x, down);
        }

        private Value linear(Site site, Value x, Projection projection) {
            Value weight = builder.weight(projection.weight);
            return projection.bias == null
                    ? builder.add(new Linear(false), site, x, weight)
                    : builder.add(new Linear(true), site, x, weight, builder.weight(projection.bias));
        }

        private Value norm(Site site, Value x, WeightRef weight) {
            int width = Math.toIntExact(weight.spec().shape().max(0));
            return builder.add(new RmsNorm(width, model.epsilon, width), site, x, builder.weight(weight));
        }

        private Value rotary(Site site, Value x) {
            Rotary op = new Rotary(model.dimensions.headDim(), model.frequencies.rotaryDim(), model.pairing);
            return builder.add(op, site, x, cos, sin, inputs.positions());
        }

        private static List<Value> with(List<Value> last, Value... first) {
            return Stream.concat(Stream.of(first), last.stream()).toList();
        }
    }

    private static @Nullable Kin kin(ModelConfig config) {
        List<String> names = config.texts("architectures");
        String type = config.text("model_type", "");
        return Stream.of(Kin.values())
                .filter(kin ->
                        names.isEmpty() ? kin.name().equalsIgnoreCase(type) : kin.modelName.equals(names.getFirst()))
                .findFirst()
                .orElse(null);
    }

    private static Dimensions dimensions(ModelConfig config, Kin kin) {
        int most = Dimensions.LIMIT;
        int hiddenSize = config.integer("hidden_size", 1, most);
        int heads = config.integer("num_attention_heads", 1, most);
        if (!config.has("head_dim") && kin != Kin.QWEN3 && hiddenSize % heads != 0) {
            throw config.unsupported(
                    "head_dim",
                    "a size of heads, for hidden_size " + hiddenSize + " is no multiple of " + heads + " heads");
        }
        // Where the field is absent the reference of Llama takes one key-value head a query head; its kin differ, so
        // ask.
        boolean optional = kin == Kin.LLAMA || config.names("num_key_value_heads");
        int keyValueHeads = optional
                ? config.integer("num_key_value_heads", 1, heads, heads)
                : config.integer("num_key_value_heads", 1, heads);
        if (heads % keyValueHeads != 0) {
            throw config.unsupported("num_key_value_heads", "a divisor of the " + heads + " attention heads");
        }
        return new Dimensions(
                hiddenSize,
                config.integer("intermediate_size", 1, most),
                config.integer("num_hidden_layers", 1, Dimensions.LAYER_LIMIT),
                heads,
                keyValueHeads,
                config.integer("head_dim", 1, most, kin == Kin.QWEN3 ? 128 : hiddenSize / heads),
                config.integer("vocab_size", 1, most),
                config.integer("max_position_embeddings", 1, most));
    }

    private static List<Layer> layers(ModelConfig config, Kin kin, Dimensions d, Checkpoint checkpoint) {
        boolean attentionBias = (kin == Kin.LLAMA || kin == Kin.QWEN3) && config.flag("attention_bias", false);
        boolean inputBias = attentionBias || kin == Kin.QWEN2;
        boolean mlpBias = kin == Kin.LLAMA && config.flag("mlp_bias", false);
        boolean headNorms = kin == Kin.QWEN3;
        int hidden = d.hiddenSize();
        int inner = d.intermediateSize();
        List<Integer> windows = windows(config, kin, d.numHiddenLayers());
        List<Layer> layers = new ArrayList<>();
        for (int layer = 0; layer < d.numHiddenLayers(); layer++) {
            String prefix = "model.layers." + layer + ".";
            String attention = prefix + "self_attn.";
            layers.add(new Layer(
                    checkpoint.vector(prefix + "input_layernorm.weight", hidden),
                    projection(checkpoint, attention + "q_proj", d.querySize(), hidden, inputBias),
                    projection(checkpoint, attention + "k_proj", d.keyValueSize(), hidden, inputBias),
                    projection(checkpoint, attention + "v_proj", d.keyValueSize(), hidden, inputBias),
                    headNorms ? checkpoint.vector(attention + "q_norm.weight", d.headDim()) : null,
                    headNorms ? checkpoint.vector(attention + "k_norm.weight", d.headDim()) : null,
                    projection(checkpoint, attention + "o_proj", hidden, d.querySize(), attentionBias),
                    checkpoint.vector(prefix + "post_attention_layernorm.weight", hidden),
                    projection(checkpoint, prefix + "mlp.gate_proj", inner, hidden, mlpBias),
                    projection(checkpoint, prefix + "mlp.up_proj", inner, hidden, mlpBias),
                    projection(checkpoint, prefix + "mlp.down_proj", hidden, inner, mlpBias),
                    windows.get(layer)));
        }
        return List.copyOf(layers);
    }

    private static Projection projection(Checkpoint checkpoint, String name, int rows, int columns, boolean bias) {
        if (!bias) {
            checkpoint.requireNone(name + ".bias");
        }
        return new Projection(
                checkpoint.matrix(name + ".weight", rows, columns),
                bias ? checkpoint.vector(name + ".bias", rows) : null);
    }

    /** How many of the latest rows each layer sees, 0 for all. The defaults are those of each kin's reference. */
    private static List<Integer> windows(ModelConfig config, Kin kin, int layers) {
        int most = Integer.MAX_VALUE;
        int fallback = config.names("sliding_window") ? 0 : 4096;
        int window =
                switch (kin) {
                    case LLAMA -> config.integer("sliding_window", 0, 0, 0);
                    case MISTRAL -> config.integer("sliding_window", 1, most, fallback);
                    case QWEN2, QWEN3 ->
                        config.flag("use_sliding_window", false)
                                ? config.integer("sliding_window", 1, most, fallback)
                                : 0;
                };
        int firstSliding = kin == Kin.MISTRAL ? 0 : config.integer("max_window_layers", 0, most, 28);
        List<String> types = config.texts("layer_types");
        if (!types.isEmpty() && types.size() != layers) {
            throw config.unsupported("layer_types", "one type for each of the " + layers + " layers");
        }
        List<Integer> windows = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            String type = types.isEmpty()
                    ? (layer >= firstSliding && window > 0 ? "sliding_attention" : "full_attention")
                    : types.get(layer);
            switch (type) {
                case "full_attention" -> windows.add(0);
                case "sliding_attention" -> {
                    if (window == 0) {
                        throw config.unsupported(
                                "sliding_window", "a window, for layer_types asks for sliding_attention");
                    }
                    windows.add(window);
                }
                default -> throw config.unsupported("layer_types", "full_attention or sliding_attention, not " + type);
            }
        }
        return windows;
    }

    private static Activation.Kind activation(ModelConfig config) {
        return switch (config.text("hidden_act", "silu")) {
            case "silu", "swish" -> Activation.Kind.SILU;
            case "gelu" -> Activation.Kind.GELU;
            case "gelu_pytorch_tanh", "gelu_new" -> Activation.Kind.GELU_TANH;
            case "relu" -> Activation.Kind.RELU;
            default -> throw config.unsupported("hidden_act", "silu, swish, gelu, gelu_pytorch_tanh, gelu_new or relu");
        };
    }
}
