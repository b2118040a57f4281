package ai.winnow.djl;

import ai.winnow.ArtefactException;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * What DJL's tokenizer does not tell of a {@code tokenizer.json}.
 *
 * @param size one more than the greatest token
 * @param special the tokens that are not text
 */
record TokenizerVocabulary(int size, Set<Integer> special) {

    TokenizerVocabulary {
        special = Set.copyOf(special);
    }

    static TokenizerVocabulary read(Path file) {
        try (Reader text = Files.newBufferedReader(file);
                JsonReader json = new JsonReader(text)) {
            json.setStrictness(Strictness.STRICT);
            return new Parser(json).parse();
        } catch (IOException | IllegalStateException | NumberFormatException e) {
            throw new ArtefactException(file + ": not a tokenizer in Hugging Face's format: " + e.getMessage(), e);
        }
    }

    /** Reads past what is not asked for: vocabularies have hundreds of thousands of entries. */
    private static final class Parser {
        private final JsonReader json;
        private final Set<Integer> special = new HashSet<>();
        private int size;

        Parser(JsonReader json) {
            this.json = json;
        }

        TokenizerVocabulary parse() throws IOException {
            json.beginObject();
            while (json.hasNext()) {
                String name = json.nextName();
                if (name.equals("added_tokens") && json.peek() == JsonToken.BEGIN_ARRAY) {
                    addedTokens();
                } else if (name.equals("model") && json.peek() == JsonToken.BEGIN_OBJECT) {
                    model();
                } else {
                    json.skipValue();
                }
            }
            json.endObject();
            return new TokenizerVocabulary(size, special);
        }

        private void addedTokens() throws IOException {
            json.beginArray();
            while (json.hasNext()) {
                int id = -1;
                boolean isSpecial = false;
                json.beginObject();
                while (json.hasNext()) {
                    switch (json.nextName()) {
                        case "id" -> id = json.nextInt();
                        case "special" -> isSpecial = json.nextBoolean();
                        default -> json.skipValue();
                    }
                }
                json.endObject();
                count(id);
                if (isSpecial) {
                    special.add(id);
                }
            }
            json.endArray();
        }

        private void model() throws IOException {
            json.beginObject();
            while (json.hasNext()) {
                if (!json.nextName().equals("vocab")) {
                    json.skipValue();
                } else if (json.peek() == JsonToken.BEGIN_OBJECT) {
                    json.beginObject();
                    while (json.hasNext()) {
                        var _ = json.nextName();
                        count(json.nextInt());
                    }
                    json.endObject();
                } else {
                    // Unigram: a list of pieces with their scores, the position is the token.
                    json.beginArray();
                    for (int id = 0; json.hasNext(); id++) {
                        json.skipValue();
                        count(id);
                    }
                    json.endArray();
                }
            }
            json.endObject();
        }

        private void count(int id) {
            size = Math.max(size, id + 1);
        }
    }
}
