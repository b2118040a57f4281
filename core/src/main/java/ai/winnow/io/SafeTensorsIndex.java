package ai.winnow.io;

import ai.winnow.ArtefactException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * {@code model.safetensors.index.json}: which shard holds which tensor.
 *
 * @param weightMap tensor to file name, both as they stand in the file
 */
record SafeTensorsIndex(Path file, Map<String, String> weightMap) {

    static final String FILE_NAME = "model.safetensors.index.json";

    private static final Pattern PLAIN = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\\.safetensors");

    /** The names of the shards, ascending, which is the order of their numbers. */
    SortedSet<String> shards() {
        return new TreeSet<>(weightMap.values());
    }

    /**
     * Reads the index. Members other than {@code weight_map} are passed over: writers put sizes and notes there.
     *
     * @throws ArtefactException if it is damaged, or names a file outside its folder
     */
    static SafeTensorsIndex read(Path file) throws IOException {
        byte[] json = Bounded.read(file, SafeTensorsHeader.MAX_HEADER_BYTES);
        return StrictJson.parse(file, "index", json, 0, reader -> {
            Map<String, String> weightMap = new LinkedHashMap<>();
            reader.object("the index", name -> {
                if (name.equals("weight_map")) {
                    weightMap.putAll(reader.texts("weight_map"));
                } else {
                    reader.skip();
                }
            });
            if (weightMap.isEmpty()) {
                throw reader.bad("weight_map is missing or empty");
            }
            weightMap.forEach((tensor, shard) -> {
                if (!isPlain(shard)) {
                    throw reader.bad(
                            "tensor " + Names.quoted(tensor) + " is said to lie in " + Names.quoted(shard)
                                    + "; a shard must be a .safetensors file beside the index, in plain ASCII letters, without any path");
                }
            });
            return new SafeTensorsIndex(file, weightMap);
        });
    }

    /** Whether {@code shard} can only be a file of the same folder, on every file system and in every locale. */
    private static boolean isPlain(String shard) {
        return PLAIN.matcher(shard).matches();
    }
}
