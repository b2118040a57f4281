package ai.winnow.architecture;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.contract.ArchitectureContract;
import java.lang.foreign.Arena;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** BabyLlama (see SOURCE.txt beside it), against logits that numpy computed from the original file. */
class LlamaTest extends ArchitectureContract {

    @Override
    protected Golden golden(Arena arena) {
        Path folder = folder();
        return GoldenFolder.read(folder, folder.resolve("golden.json"), arena);
    }

    @Override
    protected Map<String, String> refusedFields() {
        return refused();
    }

    static Map<String, String> refused() {
        Map<String, String> fields = new TreeMap<>();
        fields.put("attention_bias", "\"yes\"");
        fields.put("bos_token_id", "361000");
        fields.put("eos_token_id", "[2, -1]");
        fields.put("head_dim", "0");
        fields.put("hidden_act", "\"quick_gelu\"");
        fields.put("hidden_size", "-128");
        fields.put("intermediate_size", "1e3");
        fields.put("layer_types", "[\"full_attention\"]");
        fields.put("max_position_embeddings", "null");
        fields.put("num_attention_heads", "\"8\"");
        fields.put("num_hidden_layers", "99999999999");
        fields.put("num_key_value_heads", "3");
        fields.put("partial_rotary_factor", "0.01");
        fields.put("pretraining_tp", "2");
        fields.put("quantization_config", "{\"quant_method\": \"gptq\"}");
        fields.put("rms_norm_eps", "0");
        fields.put("rope_parameters", "[]");
        fields.put("rope_theta", "-1");
        fields.put("sliding_window", "4096");
        fields.put("tie_word_embeddings", "1");
        fields.put("vocab_size", "3.5");
        return fields;
    }

    @Test
    void tokensComeFromTheConfiguration() {
        try (Arena arena = Arena.ofConfined()) {
            Golden golden = golden(arena);
            ModelDefinition definition = new Llama()
                    .define(
                            golden.config(),
                            name -> golden.tensors().containsKey(name)
                                    ? Objects.requireNonNull(golden.tensors().get(name))
                                            .spec()
                                    : null,
                            null);
            assertThat(definition.beginToken()).hasValue(1);
            assertThat(definition.stopTokens()).containsExactly(2);
            assertThat(definition.dimensions()).isEqualTo(new Dimensions(128, 352, 5, 8, 4, 16, 361, 256));
        }
    }

    private static Path folder() {
        try {
            return Path.of(Objects.requireNonNull(LlamaTest.class.getResource("/babyllama-tok361/config.json"))
                            .toURI())
                    .resolveSibling("");
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
    }
}
