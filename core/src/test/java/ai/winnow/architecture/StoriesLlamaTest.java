package ai.winnow.architecture;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.winnow.contract.ArchitectureContract;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * stories260K. Nobody states a licence for it, so that it cannot lie in this repository: the tests run where {@code
 * shared/models} lies in a folder above the working directory, and count as skipped elsewhere.
 */
class StoriesLlamaTest extends ArchitectureContract {

    private static final String FOLDER = "shared/models/stories260K";

    @Override
    protected Golden golden(Arena arena) {
        Path folder = find();
        assumeTrue(folder != null, "SKIPPED: no folder above the working directory has " + FOLDER);
        return folder == null
                ? new Golden(ModelConfig.parse("{}"), Map.of(), new int[0], Map.of(), new int[0])
                : GoldenFolder.read(folder.resolve("hf-converted"), folder.resolve("golden.json"), arena);
    }

    @Override
    protected Map<String, String> refusedFields() {
        return LlamaTest.refused();
    }

    private static @Nullable Path find() {
        for (Path at = Path.of("").toAbsolutePath(); at != null; at = at.getParent()) {
            if (Files.isDirectory(at.resolve(FOLDER))) {
                return at.resolve(FOLDER);
            }
        }
        return null;
    }
}
