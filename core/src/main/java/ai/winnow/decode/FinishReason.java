package ai.winnow.decode;

/** Why a generation ended. */
public enum FinishReason {
    /** The model said that the text ends. */
    STOP_TOKEN,
    /** A stop string appeared; it is not part of the text. */
    STOP_STRING,
    /** As many tokens as allowed, or the context is full. */
    LENGTH,
    /** The request was cancelled, or the decoder closed. */
    CANCELLED,
    /** The request's time was over. */
    DEADLINE,
    /** An error; reading the stream throws it. */
    FAILED
}
