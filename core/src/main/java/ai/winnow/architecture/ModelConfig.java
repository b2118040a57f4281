package ai.winnow.architecture;

import ai.winnow.ArtefactException;
import ai.winnow.UnsupportedModelException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A checkpoint's {@code config.json}, or an object in it, with checked access. A field that is null counts as absent everywhere
 * but in {@link #names}. Errors are {@link UnsupportedModelException}s that name file, field, what was expected and what found.
 *
 * @param source where the fields come from, for messages
 * @param fields {@code Map}, {@code List}, {@code String}, {@code Boolean}, {@code Long}, {@code Double} or null by name
 */
public record ModelConfig(String source, Map<String, @Nullable Object> fields) {

    public static final String FILE_NAME = "config.json";
    public static final String GENERATION_FILE_NAME = "generation_config.json";

    /** Files above this size are not configurations. */
    public static final int MAX_BYTES = 4 << 20;

    public ModelConfig {
        fields = Collections.unmodifiableMap(new LinkedHashMap<>(fields));
    }

    /**
     * The configuration in {@code folder}. {@code bos_token_id} and {@code eos_token_id} of {@code generation_config.json}, if
     * there, take the place of its own: generation is what they are for.
     *
     * @throws ArtefactException if there is no {@code config.json}, or a file is too large or not strict JSON
     */
    public static ModelConfig read(Path folder) {
        ModelConfig config = readFile(folder.resolve(FILE_NAME));
        Path generation = folder.resolve(GENERATION_FILE_NAME);
        return Files.exists(generation) ? config.withTokensOf(readFile(generation)) : config;
    }

    /**
     * The configuration that {@code json} holds.
     *
     * @throws ArtefactException if it is too large or not a strict JSON object
     */
    public static ModelConfig parse(String json) {
        return parse(FILE_NAME, json);
    }

    /** This configuration with one field set. */
    public ModelConfig with(String field, @Nullable Object value) {
        Map<String, @Nullable Object> changed = new LinkedHashMap<>(fields);
        changed.put(field, value);
        return new ModelConfig(source, changed);
    }

    /** Whether the field is there and not null. */
    public boolean has(String field) {
        return fields.get(field) != null;
    }

    /** Whether the field is there, be it null. */
    public boolean names(String field) {
        return fields.containsKey(field);
    }

    /** A whole number from {@code least} to {@code most}. */
    public int integer(String field, int least, int most) {
        return Math.toIntExact(whole(field, fields.get(field), least, most));
    }

    /** A whole number from {@code least} to {@code most}, or {@code fallback} if the field is absent. */
    public int integer(String field, int least, int most, int fallback) {
        return has(field) ? integer(field, least, most) : fallback;
    }

    /** Whole numbers from {@code least} to {@code most}, where the field holds one or a list; none if it is absent. */
    public List<Integer> integers(String field, int least, int most) {
        return elements(field).stream()
                .map(element -> Math.toIntExact(whole(field, element, least, most)))
                .toList();
    }

    /** A number greater than 0, or {@code fallback} if the field is absent. */
    public double positive(String field, double fallback) {
        return has(field) ? positive(field) : fallback;
    }

    /** A number greater than 0. */
    public double positive(String field) {
        if (fields.get(field) instanceof Number number && number.doubleValue() > 0) {
            return number.doubleValue();
        }
        throw unsupported(field, "a number greater than 0");
    }

    /** A truth value, or {@code fallback} if the field is absent. */
    public boolean flag(String field, boolean fallback) {
        if (!has(field)) {
            return fallback;
        }
        if (fields.get(field) instanceof Boolean flag) {
            return flag;
        }
        throw unsupported(field, "true or false");
    }

    /** A text, or {@code fallback} if the field is absent. */
    public String text(String field, String fallback) {
        if (!has(field)) {
            return fallback;
        }
        if (fields.get(field) instanceof String text) {
            return text;
        }
        throw unsupported(field, "a text");
    }

    /** Texts, where the field holds one or a list; none if it is absent. */
    public List<String> texts(String field) {
        return elements(field).stream()
                .map(element -> {
                    if (element instanceof String text) {
                        return text;
                    }
                    throw unsupported(field, "texts");
                })
                .toList();
    }

    /** The object that the field holds; empty if the field is absent. */
    public Optional<ModelConfig> object(String field) {
        if (!has(field)) {
            return Optional.empty();
        }
        if (fields.get(field) instanceof Map<?, ?> map) {
            Map<String, @Nullable Object> inner = new LinkedHashMap<>();
            map.forEach((name, value) -> inner.put(String.valueOf(name), value));
            return Optional.of(new ModelConfig(source + ": " + field, inner));
        }
        throw unsupported(field, "an object");
    }

    /** Requires that every field of this object is one of {@code known}: what is not known may change the result. */
    public void requireOnly(Set<String> known) {
        for (String field : fields.keySet()) {
            if (!known.contains(field)) {
                throw unsupported(
                        field,
                        "no such field here, only "
                                + String.join(", ", known.stream().sorted().toList()));
            }
        }
    }

    /** Requires that a field which changes what is computed is absent, false or 1, so that it changes nothing. */
    public void requireNeutral(String field) {
        Object value = fields.get(field);
        boolean one = value instanceof Number number && number.doubleValue() == 1;
        if (value != null && !value.equals(false) && !one) {
            throw unsupported(field, "null, false or 1: what it asks for is not computed");
        }
    }

    /** The error for a field whose value cannot be computed with: names file, field, what was expected and what found. */
    public UnsupportedModelException unsupported(String field, String expected) {
        String found = has(field) ? quoted(fields.get(field)) : names(field) ? "null" : "nothing";
        return new UnsupportedModelException(
                source + ": field '" + field + "': expected " + expected + ", found " + found);
    }

    private List<? extends @Nullable Object> elements(String field) {
        Object value = fields.get(field);
        if (value == null) {
            return List.of();
        }
        return value instanceof List<?> list ? list : List.of(value);
    }

    private long whole(String field, @Nullable Object value, int least, int most) {
        if (value instanceof Long number && least <= number && number <= most) {
            return number;
        }
        throw unsupported(field, "a whole number from " + least + " to " + most);
    }

    private ModelConfig withTokensOf(ModelConfig generation) {
        ModelConfig merged = this;
        for (String field : List.of("bos_token_id", "eos_token_id")) {
            if (generation.has(field)) {
                generation.integers(field, 0, Integer.MAX_VALUE); // checked here, where the file is known
                merged = merged.with(field, generation.fields.get(field));
            }
        }
        return merged;
    }

    private static ModelConfig readFile(Path file) {
        try {
            if (!Files.isRegularFile(file) && Files.exists(file)) {
                throw new ArtefactException(file + ": expected a file, found a folder, pipe or device");
            }
            byte[] bytes;
            try (InputStream in = Files.newInputStream(file)) {
                bytes = in.readNBytes(MAX_BYTES + 1);
            }
            requireSize(file.toString(), bytes.length);
            String json = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
            return parse(file.toString(), json);
        } catch (NoSuchFileException e) {
            throw new ArtefactException(
                    file + ": there is no such file; a checkpoint is a folder with " + FILE_NAME, e);
        } catch (CharacterCodingException e) {
            throw new ArtefactException(file + ": not UTF-8", e);
        } catch (IOException e) {
            throw new ArtefactException(file + ": cannot be read: " + e, e);
        }
    }

    private static ModelConfig parse(String source, String json) {
        requireSize(source, json.length());
        return new ModelConfig(source, JsonTree.object(source, json));
    }

    private static void requireSize(String source, int size) {
        if (size > MAX_BYTES) {
            throw new ArtefactException(source + ": expected at most " + MAX_BYTES + " bytes, found more");
        }
    }

    private static String quoted(@Nullable Object value) {
        return clipped(value instanceof String text ? '"' + text + '"' : String.valueOf(value));
    }

    static String clipped(String text) {
        return text.length() <= 120 ? text : text.substring(0, 120) + "…";
    }
}
