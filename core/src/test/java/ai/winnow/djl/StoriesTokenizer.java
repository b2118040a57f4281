package ai.winnow.djl;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A SentencePiece vocabulary in llama2.c's format (the longest token, then of each its score, length and bytes): writes it as a
 * Hugging Face tokenizer, and encodes by the definition, merging the best pair until there is none.
 */
final class StoriesTokenizer {

    private static final int FIRST_PIECE = 259;

    private final List<String> pieces = new ArrayList<>();
    private final List<Float> scores = new ArrayList<>();
    private final Map<String, Integer> ids = new HashMap<>();

    StoriesTokenizer(Path file) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        bytes.getInt();
        while (bytes.hasRemaining()) {
            scores.add(bytes.getFloat());
            byte[] text = new byte[bytes.getInt()];
            bytes.get(text);
            int id = pieces.size();
            String piece = new String(text, StandardCharsets.UTF_8).replace(' ', '▁');
            pieces.add(id == 1 ? "<s>" : id == 2 ? "</s>" : piece);
            ids.put(pieces.getLast(), id);
        }
    }

    /** Writes babyllama's tokenizer with this vocabulary and its merges in the place of its own. */
    void write(Path folder) throws IOException {
        Gson gson = new Gson();
        JsonObject tokenizer =
                gson.fromJson(Files.readString(BabyLlama.folder().resolve("tokenizer.json")), JsonObject.class);
        Map<String, Integer> vocabulary = new LinkedHashMap<>();
        for (int id = 0; id < pieces.size(); id++) {
            vocabulary.put(pieces.get(id), id);
        }
        List<String[]> merges = new ArrayList<>();
        // The best score first: that is the rank of a merge.
        ids.entrySet().stream()
                .filter(entry -> entry.getValue() >= FIRST_PIECE)
                .sorted(Comparator.comparingDouble(entry -> -scores.get(entry.getValue())))
                .forEach(entry -> {
                    String piece = entry.getKey();
                    for (int cut = 1; cut < piece.length(); cut++) {
                        if (ids.containsKey(piece.substring(0, cut)) && ids.containsKey(piece.substring(cut))) {
                            merges.add(new String[] {piece.substring(0, cut), piece.substring(cut)});
                        }
                    }
                });
        JsonObject model = tokenizer.getAsJsonObject("model");
        model.add("vocab", gson.toJsonTree(vocabulary));
        model.add("merges", gson.toJsonTree(merges));
        Files.writeString(folder.resolve("tokenizer.json"), gson.toJson(tokenizer));
    }

    /** The tokens of a text: the token that begins it, then characters or bytes, merged. */
    List<Integer> encode(String text) {
        List<Integer> tokens = new ArrayList<>();
        ("▁" + text.replace(' ', '▁'))
                .codePoints()
                .mapToObj(Character::toString)
                .forEach(character -> {
                    Integer id = ids.get(character);
                    if (id != null) {
                        tokens.add(id);
                    } else {
                        for (byte each : character.getBytes(StandardCharsets.UTF_8)) {
                            tokens.add(3 + (each & 0xFF));
                        }
                    }
                });
        while (mergeBest(tokens)) {
            // One pair a round.
        }
        tokens.add(0, 1);
        return tokens;
    }

    private boolean mergeBest(List<Integer> tokens) {
        int at = -1;
        int best = -1;
        for (int i = 0; i + 1 < tokens.size(); i++) {
            int merged = ids.getOrDefault(pieces.get(tokens.get(i)) + pieces.get(tokens.get(i + 1)), -1);
            if (merged >= 0 && (best < 0 || scores.get(merged) > scores.get(best))) {
                best = merged;
                at = i;
            }
        }
        if (at >= 0) {
            tokens.set(at, best);
            tokens.subList(at + 1, at + 2).clear();
        }
        return at >= 0;
    }
}
