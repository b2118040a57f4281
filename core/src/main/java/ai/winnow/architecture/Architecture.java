package ai.winnow.architecture;

import ai.winnow.UnsupportedModelException;
import ai.winnow.io.TensorSource;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** A model family: reads a configuration and says which graphs compute the model. */
public interface Architecture {

    /** A short name: {@code llama}. */
    String name();

    /** What a configuration calls the models of this family: {@code LlamaForCausalLM}. */
    List<String> modelNames();

    /** Whether {@code config} names a model of this family. */
    boolean matches(ModelConfig config);

    /**
     * The model that {@code config} and the checkpoint describe. All weights are looked up and their shapes checked here.
     *
     * @param weights specs of the checkpoint's tensors by name (null when absent)
     * @param matrixType the type matrices are kept in ({@code F32}, {@code BF16}, {@code F16}, {@code I8} or {@code I4}), or null for the
     *     file's; norm weights and biases are always kept in {@code F32}
     * @throws UnsupportedModelException naming the field or weight that is missing or that this family does not compute
     * @throws ai.winnow.ShapeException naming the weight whose shape is not what the configuration says
     */
    ModelDefinition define(
            ModelConfig config, Function<String, @Nullable TensorSpec> weights, @Nullable DType matrixType);

    /** The families in this package. */
    static List<Architecture> known() {
        return List.of(new Llama());
    }

    /**
     * The family of the model that {@code config} describes.
     *
     * @throws UnsupportedModelException naming the architecture found and those known
     */
    static Architecture of(ModelConfig config) {
        return known().stream()
                .filter(architecture -> architecture.matches(config))
                .findFirst()
                .orElseThrow(() -> unknown(config));
    }

    /**
     * The model that {@code config} describes, with the weights of {@code checkpoint}; see {@link #define(ModelConfig, Function,
     * DType)}.
     *
     * @throws UnsupportedModelException naming the architecture found and those known, if none matches
     */
    static ModelDefinition define(ModelConfig config, TensorSource checkpoint, @Nullable DType matrixType) {
        return of(config).define(config, checkpoint::spec, matrixType);
    }

    private static UnsupportedModelException unknown(ModelConfig config) {
        String names = known().stream()
                .flatMap(architecture -> architecture.modelNames().stream())
                .collect(Collectors.joining(", "));
        String field = config.has("architectures") ? "architectures" : "model_type";
        return config.unsupported(field, "one of " + names);
    }
}
