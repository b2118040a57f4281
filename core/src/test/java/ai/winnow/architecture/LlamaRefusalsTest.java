package ai.winnow.architecture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.UnsupportedModelException;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StepLimits;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the kin refuse, one line a case: model, fields, and words of the message. */
class LlamaRefusalsTest {

    private static final Map<String, TensorSpec> SPECS = Map.ofEntries(
            Map.entry("model.embed_tokens.weight", TensorSpec.of(DType.F32, 9, 8)),
            Map.entry("model.norm.weight", TensorSpec.of(DType.F32, 8)),
            Map.entry("model.layers.0.input_layernorm.weight", TensorSpec.of(DType.F32, 8)),
            Map.entry("model.layers.0.post_attention_layernorm.weight", TensorSpec.of(DType.F32, 8)),
            Map.entry("model.layers.0.self_attn.q_proj.weight", TensorSpec.of(DType.F64, 8, 8)),
            Map.entry("model.layers.0.self_attn.k_proj.weight", TensorSpec.of(DType.BF16, 8, 8)),
            Map.entry("model.layers.0.self_attn.v_proj.weight", TensorSpec.of(DType.F16, 8, 8)),
            Map.entry("model.layers.0.self_attn.o_proj.weight", TensorSpec.of(DType.F32, 8, 8)),
            Map.entry("model.layers.0.mlp.gate_proj.weight", TensorSpec.of(DType.F32, 6, 8)),
            Map.entry("model.layers.0.mlp.up_proj.weight", TensorSpec.of(DType.F32, 6, 8)),
            Map.entry("model.layers.0.mlp.down_proj.weight", TensorSpec.of(DType.F32, 8, 6)));

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "Llama   | \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2} | dynamic, llama3",
                "Llama   | \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2} | yarn, llama3",
                "Llama   | \"rope_scaling\": {\"rope_type\": \"linear\"} | factor, found nothing",
                "Llama   | \"rope_scaling\": {\"factor\": 2} | type, linear, found nothing",
                "Llama   | \"rope_scaling\": {\"rope_type\": \"linear\", \"mrope_section\": [1]} | mrope_section",
                "Llama   | \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8} | low_freq_factor",
                "Llama   | \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1}} | full_attention",
                "Llama   | \"rope_parameters\": {}, \"rope_scaling\": {} | rope_scaling",
                "Llama   | \"partial_rotary_factor\": 0.75, \"head_dim\": 4 | partial_rotary_factor",
                "Llama   | \"tie_word_embeddings\": false | lm_head.weight",
                "Llama   | \"num_attention_heads\": 3 | head_dim",
                "Mistral | \"sliding_window\": 0 | sliding_window",
                "Mistral | \"layer_types\": [\"chunked_attention\"] | layer_types, chunked_attention",
                "Qwen2   | \"layer_types\": [\"sliding_attention\"] | sliding_window, sliding_attention",
                "Qwen2   | \"use_sliding_window\": true, \"sliding_window\": -1 | sliding_window, -1",
                "Qwen2   | \"use_mrope\": true | use_mrope",
                "Qwen2   | \"num_hidden_layers\": 1 | self_attn.q_proj.bias",
                "Qwen3   | \"head_dim\": 4 | self_attn.q_norm.weight",
                "Qwen3   | \"num_experts\": 8 | num_experts",
                "Qwen3Moe| \"num_experts\": 8 | Qwen3MoeForCausalLM, Qwen3ForCausalLM"
            })
    void refusedByName(String model, String fields, String words) {
        ModelConfig config = config(model);
        for (var field : ModelConfig.parse("{" + fields + "}").fields().entrySet()) {
            config = config.with(field.getKey(), field.getValue());
        }
        ModelConfig changed = config;
        var thrown = assertThatThrownBy(() -> Architecture.of(changed).define(changed, SPECS::get, null))
                .isInstanceOf(UnsupportedModelException.class);
        for (String word : words.split(",", -1)) {
            thrown.hasMessageContaining(word.strip());
        }
    }

    @Test
    void aBiasThatTheConfigurationLeavesOutIsRefused() {
        ModelConfig config = config("Llama");
        TensorSpec bias = TensorSpec.of(DType.F32, 8);
        String name = "model.layers.0.self_attn.o_proj.bias";
        assertThat(new Llama().define(config, SPECS::get, null).family()).isEqualTo("llama");
        assertThatThrownBy(() -> new Llama().define(config, n -> n.equals(name) ? bias : SPECS.get(n), null))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining(name);
    }

    @Test
    void theCheckpointsTypesAreKeptButF64() {
        var weights = new Llama()
                .define(config("Llama"), SPECS::get, null)
                .graph(Phase.DECODE, new StepLimits(1, 1, 1, 16, DType.F32))
                .weights();
        for (WeightRef weight : weights) {
            TensorSpec own = SPECS.get(weight.name());
            if (own != null) {
                DType expected = own.dtype() == DType.F64 ? DType.F32 : own.dtype();
                assertThat(weight.spec().dtype()).as(weight.name()).isEqualTo(expected);
            }
        }
    }

    @Test
    void keyValueHeadsAreNeverGuessedForKin() {
        ModelConfig mistral = config("Mistral");
        Map<String, Object> fields = new HashMap<>(mistral.fields());
        fields.remove("num_key_value_heads");
        ModelConfig without = new ModelConfig("config.json", fields);
        assertThatThrownBy(() -> new Llama().define(without, SPECS::get, null))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("num_key_value_heads");
    }

    private static ModelConfig config(String model) {
        ModelConfig config = ModelConfig.parse("""
                {"architectures": ["%sForCausalLM"], "hidden_size": 8, "intermediate_size": 6, "vocab_size": 9,
                 "max_position_embeddings": 16}
                """.formatted(model));
        return config.with("tie_word_embeddings", true)
                .with("num_hidden_layers", 1L)
                .with("num_attention_heads", 2L)
                .with("num_key_value_heads", 2L);
    }
}
