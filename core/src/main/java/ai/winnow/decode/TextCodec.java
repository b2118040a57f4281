package ai.winnow.decode;

/** Turns text into a model's tokens and back. Thread-safe. */
public interface TextCodec {

    /** Tokens are 0 to this, exclusive. */
    int vocabSize();

    /**
     * The tokens of a text, with the special tokens that the tokenizer puts around one (such as the token that begins it). What is
     * not in the vocabulary becomes bytes or the unknown token, as the tokenizer has it.
     */
    int[] encode(String text);

    /**
     * The text of some tokens, special tokens left out. Bytes that are not UTF-8 become U+FFFD. What a token's text is may depend on
     * its neighbours: the text of a concatenation need not be the concatenation of the texts.
     */
    String decode(int[] tokens);

    /** Whether {@code token} steers the model and has no text of its own, such as one that begins or ends a text. */
    boolean isSpecial(int token);
}
