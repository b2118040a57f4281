package ai.winnow.decode;

import java.util.Arrays;

/**
 * Decodes tokens as they come. Text comes out as soon as it is sure: never half a character, and with the space that the text
 * before it calls for. Decodes a short window that starts some tokens back, because the text of a token depends on its neighbours.
 */
final class IncrementalText {

    /** What codecs write for bytes that are not (yet) a character. */
    private static final String REPLACEMENT = "\uFFFD";

    /** A character of UTF-8 has at most four bytes: what is no character by then never becomes one. */
    private static final int MOST_BYTES = 4;

    private static final int CONTEXT = 8;

    private final TextCodec codec;

    /** Context, and the tokens since all text was last out. */
    private int[] window;

    private int count;

    /** Tokens of the window that are context. */
    private int context;

    /** The text of the context, and what is out of the text behind it. */
    private String settled;

    private int out;

    private int withoutProgress;

    /** @param prompt the tokens before the first to come */
    IncrementalText(TextCodec codec, int[] prompt) {
        this.codec = codec;
        int[] plain =
                Arrays.stream(prompt).filter(token -> !codec.isSpecial(token)).toArray();
        int from = Math.max(0, plain.length - CONTEXT);
        this.window = Arrays.copyOfRange(plain, from, plain.length);
        this.settled = codec.decode(window);
        while (from > 0 && settled.startsWith(REPLACEMENT)) {
            // The window begins inside a character.
            from = Math.max(0, from - CONTEXT);
            window = Arrays.copyOfRange(plain, from, plain.length);
            settled = codec.decode(window);
        }
        this.count = window.length;
        this.context = count;
    }

    /** The text that is sure with {@code token}; may be empty. */
    String append(int token) {
        if (codec.isSpecial(token)) {
            return "";
        }
        if (count == window.length) {
            window = Arrays.copyOf(window, 2 * count + CONTEXT);
        }
        window[count++] = token;
        String text = behindContext();
        String sure = text;
        while (sure.length() > out && sure.endsWith(REPLACEMENT)) {
            sure = sure.substring(0, sure.length() - 1);
        }
        withoutProgress = sure.length() > out ? 0 : withoutProgress + 1;
        if (withoutProgress >= MOST_BYTES) {
            sure = text;
            withoutProgress = 0;
        }
        if (sure.length() <= out) {
            return "";
        }
        String piece = sure.substring(out);
        out = sure.length();
        if (out == text.length()) {
            forget();
        }
        return piece;
    }

    /** The text of the tokens behind the context. */
    private String behindContext() {
        String text = codec.decode(Arrays.copyOf(window, count));
        // Codecs that give up a whole run of bytes for one that is wrong change text that is out: then without the
        // context.
        return text.startsWith(settled)
                ? text.substring(settled.length())
                : codec.decode(Arrays.copyOfRange(window, context, count));
    }

    /** Leaves only the tokens since all text was last out, as the context of those to come. */
    private void forget() {
        window = Arrays.copyOfRange(window, context, count);
        count = window.length;
        context = count;
        settled = codec.decode(window);
        out = 0;
    }

    /** The text that was held back: bytes that did not become a character. */
    String finish() {
        String text = behindContext();
        String rest = text.length() > out ? text.substring(out) : "";
        out = text.length();
        return rest;
    }
}
