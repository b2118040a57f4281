package ai.winnow.decode;

/**
 * How a decoder shares its session.
 *
 * @param queueCapacity requests that may wait for a sequence; more are refused
 * @param prefillTokens prompt tokens that run between two tokens of the running sequences; 0 for as many as a step takes. Fewer make
 *     running sequences smoother and prompts slower
 * @param strategy the token loop
 */
public record DecoderOptions(int queueCapacity, int prefillTokens, DecodeStrategy strategy) {

    public DecoderOptions {
        if (queueCapacity < 1) {
            throw new IllegalArgumentException("the queue needs room for at least 1 request, found " + queueCapacity);
        }
        if (prefillTokens < 0) {
            throw new IllegalArgumentException(
                    "prefillTokens must be 0 (as many as a step takes) or more, found " + prefillTokens);
        }
    }

    /** Room for 256 requests to wait, plain decoding. */
    public static DecoderOptions defaults() {
        return new DecoderOptions(256, 0, new PlainDecoding());
    }

    public DecoderOptions withQueueCapacity(int requests) {
        return new DecoderOptions(requests, prefillTokens, strategy);
    }

    public DecoderOptions withPrefillTokens(int tokens) {
        return new DecoderOptions(queueCapacity, tokens, strategy);
    }

    public DecoderOptions withStrategy(DecodeStrategy other) {
        return new DecoderOptions(queueCapacity, prefillTokens, other);
    }
}
