package ai.winnow.examples;

import ai.winnow.architecture.ModelConfig;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The sizes of a Llama without its weights: enough to write a {@code config.json} and to name its tensors. The head is the
 * embedding's matrix.
 */
public record ModelShape(
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int keyValueHeads,
        int headDim,
        int vocabSize,
        int maxPositions) {

    /** Llama-3.2-1B, but for its scaling of rotary frequencies, which changes no cost. */
    public static final ModelShape ONE_BILLION = new ModelShape(2048, 8192, 16, 32, 8, 64, 128_256, 8192);

    /** Small enough for a test, with every proportion different. */
    public static final ModelShape TINY = new ModelShape(64, 160, 2, 4, 2, 16, 96, 128);

    /** The same model with other numbers of layers. */
    public ModelShape withLayers(int count) {
        return new ModelShape(
                hiddenSize, intermediateSize, count, heads, keyValueHeads, headDim, vocabSize, maxPositions);
    }

    public ModelConfig config() {
        return ModelConfig.parse(json());
    }

    /** The {@code config.json} as Hugging Face writes it. */
    public String json() {
        return """
                {
                  "architectures": ["LlamaForCausalLM"],
                  "model_type": "llama",
                  "hidden_size": %d,
                  "intermediate_size": %d,
                  "num_hidden_layers": %d,
                  "num_attention_heads": %d,
                  "num_key_value_heads": %d,
                  "head_dim": %d,
                  "vocab_size": %d,
                  "max_position_embeddings": %d,
                  "hidden_act": "silu",
                  "rms_norm_eps": 1e-05,
                  "rope_theta": 500000.0,
                  "attention_bias": false,
                  "mlp_bias": false,
                  "tie_word_embeddings": true,
                  "torch_dtype": "bfloat16"
                }
                """.formatted(
                        hiddenSize, intermediateSize, layers, heads, keyValueHeads, headDim, vocabSize, maxPositions);
    }

    /** All tensors of a checkpoint, in the order in which it stores them. */
    public Map<String, TensorSpec> tensors(DType dtype) {
        Map<String, TensorSpec> tensors = new LinkedHashMap<>();
        tensors.put("model.embed_tokens.weight", TensorSpec.of(dtype, vocabSize, hiddenSize));
        for (int layer = 0; layer < layers; layer++) {
            String prefix = "model.layers." + layer + ".";
            tensors.put(prefix + "input_layernorm.weight", TensorSpec.of(dtype, hiddenSize));
            tensors.put(prefix + "self_attn.q_proj.weight", TensorSpec.of(dtype, (long) heads * headDim, hiddenSize));
            tensors.put(
                    prefix + "self_attn.k_proj.weight",
                    TensorSpec.of(dtype, (long) keyValueHeads * headDim, hiddenSize));
            tensors.put(
                    prefix + "self_attn.v_proj.weight",
                    TensorSpec.of(dtype, (long) keyValueHeads * headDim, hiddenSize));
            tensors.put(prefix + "self_attn.o_proj.weight", TensorSpec.of(dtype, hiddenSize, (long) heads * headDim));
            tensors.put(prefix + "post_attention_layernorm.weight", TensorSpec.of(dtype, hiddenSize));
            tensors.put(prefix + "mlp.gate_proj.weight", TensorSpec.of(dtype, intermediateSize, hiddenSize));
            tensors.put(prefix + "mlp.up_proj.weight", TensorSpec.of(dtype, intermediateSize, hiddenSize));
            tensors.put(prefix + "mlp.down_proj.weight", TensorSpec.of(dtype, hiddenSize, intermediateSize));
        }
        tensors.put("model.norm.weight", TensorSpec.of(dtype, hiddenSize));
        return tensors;
    }

    /** Bytes of all tensors. */
    public long bytes(DType dtype) {
        return tensors(dtype).values().stream().mapToLong(TensorSpec::maxBytes).sum();
    }
}
