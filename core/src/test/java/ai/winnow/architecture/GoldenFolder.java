package ai.winnow.architecture;

import ai.winnow.contract.ArchitectureContract.Golden;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Reads a model that lies beside its {@code golden.json}. Trusts the files: they are ours. */
final class GoldenFolder {

    private GoldenFolder() {}

    /**
     * @param model the folder of {@code config.json} and {@code model.safetensors}
     * @param golden ids and logits
     */
    static Golden read(Path model, Path golden, Arena arena) {
        try {
            JsonObject reference = new Gson().fromJson(Files.readString(golden), JsonObject.class);
            int[] ids = field(reference, "input_ids", int[].class);
            float[] first = field(reference, "first_position_logits", float[].class);
            float[] last = field(reference, "last_position_logits", float[].class);
            return new Golden(
                    ModelConfig.read(model),
                    tensors(model.resolve("model.safetensors"), arena),
                    ids,
                    Map.of(0, first, ids.length - 1, last),
                    field(reference, "greedy_from_bos_ids", int[].class));
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static <T> T field(JsonObject object, String name, Class<T> type) {
        return new Gson().fromJson(object.get(name), type);
    }

    private static Map<String, Tensor> tensors(Path file, Arena arena) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            MemorySegment mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
            long header = mapped.get(ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 0);
            byte[] json = mapped.asSlice(8, header).toArray(ValueLayout.JAVA_BYTE);
            Map<String, Tensor> tensors = new HashMap<>();
            JsonObject entries = new Gson().fromJson(new String(json, StandardCharsets.UTF_8), JsonObject.class);
            for (String name : entries.keySet()) {
                if (!name.equals("__metadata__")) {
                    JsonObject entry = entries.getAsJsonObject(name);
                    long[] sizes = new Gson().fromJson(entry.get("shape"), long[].class);
                    List<Long> range = entry.getAsJsonArray("data_offsets").asList().stream()
                            .map(offset -> offset.getAsLong())
                            .toList();
                    DType type = DType.parse(entry.get("dtype").getAsString());
                    MemorySegment bytes = mapped.asSlice(8 + header + range.get(0), range.get(1) - range.get(0));
                    tensors.put(name, Tensor.wrap(bytes, new TensorSpec(type, Shape.of(sizes))));
                }
            }
            return tensors;
        }
    }
}
