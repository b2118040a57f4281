package ai.winnow.architecture;

import ai.winnow.ArtefactException;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.IOException;
import java.io.StringReader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Strict JSON as a tree of {@code Map}, {@code List}, {@code String}, {@code Boolean}, {@code Long} (whole numbers written in
 * digits), {@code Double} and null. A name that occurs twice in an object is an error: readers disagree on which one counts.
 */
final class JsonTree {

    private static final int NESTING_LIMIT = 32;

    /** No number of a configuration is longer, and parsing longer ones takes quadratic time. */
    private static final int NUMBER_LIMIT = 64;

    private final String source;
    private final JsonReader reader;

    private JsonTree(String source, JsonReader reader) {
        this.source = source;
        this.reader = reader;
    }

    /**
     * The object that {@code json} holds.
     *
     * @param source where the text comes from, for messages
     * @throws ArtefactException naming source and place, if it is not one strict JSON object
     */
    static Map<String, @Nullable Object> object(String source, String json) {
        try (JsonReader reader = new JsonReader(new StringReader(json))) {
            reader.setStrictness(Strictness.STRICT);
            reader.setNestingLimit(NESTING_LIMIT);
            JsonTree tree = new JsonTree(source, reader);
            if (reader.peek() != JsonToken.BEGIN_OBJECT) {
                throw tree.bad("expected an object, found " + reader.peek(), null);
            }
            Map<String, @Nullable Object> object = tree.object();
            if (reader.peek() != JsonToken.END_DOCUMENT) {
                throw tree.bad("text after the end of the document", null);
            }
            return object;
        } catch (IOException | IllegalStateException | NumberFormatException e) {
            // The first line only: the second is advice for users of the parser.
            String reason = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
            throw new ArtefactException(source + ": not strict JSON: " + reason, e);
        }
    }

    private @Nullable Object value() throws IOException {
        return switch (reader.peek()) {
            case BEGIN_OBJECT -> object();
            case BEGIN_ARRAY -> array();
            case STRING -> reader.nextString();
            case BOOLEAN -> reader.nextBoolean();
            case NUMBER -> number(reader.nextString());
            case NULL -> {
                reader.nextNull();
                yield null;
            }
            default -> throw bad("a value is missing", null);
        };
    }

    private Map<String, @Nullable Object> object() throws IOException {
        Map<String, @Nullable Object> fields = new LinkedHashMap<>();
        reader.beginObject();
        while (reader.hasNext()) {
            String name = reader.nextName();
            if (fields.containsKey(name)) {
                throw bad("the name '" + ModelConfig.clipped(name) + "' occurs twice", null);
            }
            fields.put(name, value());
        }
        reader.endObject();
        return Collections.unmodifiableMap(fields);
    }

    private List<@Nullable Object> array() throws IOException {
        List<@Nullable Object> elements = new ArrayList<>();
        reader.beginArray();
        while (reader.hasNext()) {
            elements.add(value());
        }
        reader.endArray();
        return Collections.unmodifiableList(elements);
    }

    private Object number(String digits) {
        if (digits.length() > NUMBER_LIMIT) {
            throw bad("a number of " + digits.length() + " characters; the limit is " + NUMBER_LIMIT, null);
        }
        try {
            return Long.valueOf(digits);
        } catch (NumberFormatException e) {
            double number = Double.parseDouble(digits);
            if (Double.isInfinite(number)) {
                throw bad("the number " + digits + " is beyond the range of a double", e);
            }
            return number;
        }
    }

    private ArtefactException bad(String sentence, @Nullable Throwable cause) {
        return new ArtefactException(source + ": " + sentence + ", at " + ModelConfig.clipped(reader.getPath()), cause);
    }
}
