package ai.winnow.djl;

import ai.winnow.UnsupportedModelException;
import ai.winnow.architecture.ModelConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Whether a folder holds what Winnow reads. */
final class CheckpointFolder {

    private static final List<String> WEIGHTS = List.of("model.safetensors", "model.safetensors.index.json");

    private CheckpointFolder() {}

    /** @throws UnsupportedModelException saying which files were looked for */
    static Path require(@Nullable Path folder, String model) {
        String lookedFor = ModelConfig.FILE_NAME + " and " + String.join(" or ", WEIGHTS);
        if (folder == null) {
            throw new UnsupportedModelException(
                    "model " + model + " was not loaded from a folder; Winnow looks for " + lookedFor + " there");
        }
        boolean config = Files.isRegularFile(folder.resolve(ModelConfig.FILE_NAME));
        boolean weights = WEIGHTS.stream().anyMatch(name -> Files.isRegularFile(folder.resolve(name)));
        if (!config || !weights) {
            throw new UnsupportedModelException("model " + model + ": " + folder + " has no "
                    + (config ? String.join(" or ", WEIGHTS) : weights ? ModelConfig.FILE_NAME : lookedFor)
                    + "; Winnow reads checkpoints in Hugging Face's format (" + lookedFor
                    + "). Put them beside the model's own files");
        }
        return folder;
    }
}
