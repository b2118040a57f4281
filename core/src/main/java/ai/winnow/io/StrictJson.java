package ai.winnow.io;

import ai.winnow.ArtefactException;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads JSON that nobody vouches for: RFC 8259 to the letter, names that occur once, numbers that are whole and not negative, text
 * that is Unicode, little nesting. What Gson lets pass even in its strict mode (equal names, {@code 1.0} as an integer, lone
 * surrogates) is checked here.
 */
final class StrictJson {

    /** Enough for every format of this package. */
    private static final int NESTING_LIMIT = 16;

    /** How Gson begins the message of a syntax error: good advice for its own users, bad advice for ours. */
    private static final String GSON_ADVICE =
            "Use JsonReader.setStrictness(Strictness.LENIENT) to accept malformed JSON";

    private final Path file;
    private final String part;
    private final JsonReader reader;

    /** What reads the document, or one member of an object. */
    interface Body<T> {
        T read(StrictJson json) throws IOException;
    }

    /** What reads the member {@code name} of an object. */
    interface Member {
        void read(String name) throws IOException;
    }

    private StrictJson(Path file, String part, JsonReader reader) {
        this.file = file;
        this.part = part;
        this.reader = reader;
    }

    /**
     * Reads one document.
     *
     * @param part what of the file this is, for messages
     * @param offset where in the file {@code utf8} begins, for messages
     */
    static <T> T parse(Path file, String part, byte[] utf8, long offset, Body<T> body) {
        Reader text = new InputStreamReader(new ByteArrayInputStream(utf8), decoder());
        try (JsonReader reader = new JsonReader(text)) {
            reader.setStrictness(Strictness.STRICT);
            reader.setNestingLimit(NESTING_LIMIT);
            StrictJson json = new StrictJson(file, part, reader);
            T value = body.read(json);
            if (reader.peek() != JsonToken.END_DOCUMENT) {
                throw json.bad("text after the end of the document");
            }
            return value;
        } catch (CharacterCodingException e) {
            throw new ArtefactException(
                    file + ": " + part + " is not UTF-8 at byte " + (offset + firstMalformed(utf8)) + " of the file",
                    e);
        } catch (IOException | IllegalStateException | NumberFormatException e) {
            throw new ArtefactException(file + ": " + part + " is not JSON: " + firstLine(e), e);
        }
    }

    /** {@code text} in UTF-8; refuses what has no UTF-8 instead of writing question marks. */
    static byte[] encode(String text) {
        try {
            ByteBuffer bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
            byte[] utf8 = new byte[bytes.remaining()];
            bytes.get(utf8);
            return utf8;
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("not Unicode text (a lone surrogate): " + Names.quoted(text), e);
        }
    }

    /** Reads an object; a name that occurs twice is an error. */
    void object(String what, Member member) throws IOException {
        require(JsonToken.BEGIN_OBJECT, what, "an object");
        reader.beginObject();
        Set<String> seen = new HashSet<>();
        while (reader.hasNext()) {
            String name = requireUnicode(reader.nextName());
            if (!seen.add(name)) {
                throw bad("the name " + Names.quoted(name) + " occurs twice in " + what);
            }
            member.read(name);
        }
        reader.endObject();
    }

    /** Reads an object whose values are all strings. */
    Map<String, String> texts(String what) throws IOException {
        Map<String, String> texts = new LinkedHashMap<>();
        object(what, name -> texts.put(name, text("the value of " + Names.quoted(name) + " in " + what)));
        return texts;
    }

    String text(String what) throws IOException {
        require(JsonToken.STRING, what, "a string");
        return requireUnicode(reader.nextString());
    }

    /** Reads a whole number from 0 to 2^63-1, written in digits only. */
    long count(String what) throws IOException {
        require(JsonToken.NUMBER, what, "a number");
        String digits = reader.nextString();
        if (!digits.chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw bad(what + " must be a whole number from 0 on, written in digits, not " + Names.clipped(digits, 40));
        }
        try {
            return Long.parseLong(digits);
        } catch (NumberFormatException e) {
            throw bad(what + " is larger than 2^63-1: " + Names.clipped(digits, 40), e);
        }
    }

    /** Reads an array of at most {@code most} whole numbers. */
    long[] counts(String what, int most) throws IOException {
        require(JsonToken.BEGIN_ARRAY, what, "an array");
        reader.beginArray();
        long[] counts = new long[most];
        int count = 0;
        while (reader.hasNext()) {
            if (count == most) {
                throw bad(what + " has more than " + most + " elements");
            }
            counts[count++] = count(what);
        }
        reader.endArray();
        return Arrays.copyOf(counts, count);
    }

    /** Passes over a value that another reader of the same format may know. */
    void skip() throws IOException {
        reader.skipValue();
    }

    /** The fault, with the file and where in it the reader stands. */
    ArtefactException bad(String sentence) {
        return bad(sentence, null);
    }

    private ArtefactException bad(String sentence, @Nullable Throwable cause) {
        return new ArtefactException(file + ": " + part + ": " + sentence + " (" + position() + ")", cause);
    }

    private void require(JsonToken token, String what, String expected) throws IOException {
        JsonToken found = reader.peek();
        if (found != token) {
            throw bad(what + " must be " + expected + ", not " + found);
        }
    }

    private String requireUnicode(String text) {
        if (!Names.isUnicode(text)) {
            throw bad("a lone surrogate is not Unicode text: " + Names.quoted(text));
        }
        return text;
    }

    /** {@code line 1 column 57 path $.name.shape[1]}: what the reader's own messages end with. */
    private String position() {
        String text = reader.toString();
        int at = text.indexOf(" at ");
        return Names.clipped(at < 0 ? text : text.substring(at + 4), 160);
    }

    private static String firstLine(Exception e) {
        String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        String first = message.lines().findFirst().orElse("");
        return Names.clipped(first.replace(GSON_ADVICE, "malformed text"), 200);
    }

    private static int firstMalformed(byte[] utf8) {
        ByteBuffer in = ByteBuffer.wrap(utf8);
        CharBuffer out = CharBuffer.allocate(8192);
        CharsetDecoder decoder = decoder();
        while (decoder.decode(in, out, true).isOverflow()) {
            out.clear();
        }
        return in.position();
    }

    private static CharsetDecoder decoder() {
        return StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT);
    }
}
