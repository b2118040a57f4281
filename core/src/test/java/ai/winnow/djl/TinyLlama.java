package ai.winnow.djl;

import ai.winnow.io.SafeTensorsWriter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** A Llama of one layer and 16 channels with random weights and babyllama's tokenizer: quick enough for thousands of requests. */
final class TinyLlama {

    private static final String CONFIG = """
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 24,
             "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 361,
             "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
             "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2}
            """;

    private TinyLlama() {}

    static Path write(Path folder, int seed) throws IOException {
        Random random = new Random(seed);
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("model.embed_tokens.weight", new long[] {361, 16});
        String layer = "model.layers.0.";
        shapes.put(layer + "input_layernorm.weight", new long[] {16});
        shapes.put(layer + "self_attn.q_proj.weight", new long[] {16, 16});
        shapes.put(layer + "self_attn.k_proj.weight", new long[] {8, 16});
        shapes.put(layer + "self_attn.v_proj.weight", new long[] {8, 16});
        shapes.put(layer + "self_attn.o_proj.weight", new long[] {16, 16});
        shapes.put(layer + "post_attention_layernorm.weight", new long[] {16});
        shapes.put(layer + "mlp.gate_proj.weight", new long[] {24, 16});
        shapes.put(layer + "mlp.up_proj.weight", new long[] {24, 16});
        shapes.put(layer + "mlp.down_proj.weight", new long[] {16, 24});
        shapes.put("model.norm.weight", new long[] {16});
        try (Arena arena = Arena.ofConfined()) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            shapes.forEach((name, shape) -> {
                Tensor tensor = Tensor.allocate(arena, DType.F32, shape);
                for (long i = 0; i < tensor.shape().maxElements(); i++) {
                    float value = shape.length == 1 ? 1 : (float) random.nextGaussian() / 4;
                    tensor.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
                }
                tensors.put(name, tensor);
            });
            SafeTensorsWriter.write(folder.resolve("model.safetensors"), tensors, Map.of());
        }
        Files.writeString(folder.resolve("config.json"), CONFIG);
        Files.copy(BabyLlama.folder().resolve("tokenizer.json"), folder.resolve("tokenizer.json"));
        return folder;
    }
}
