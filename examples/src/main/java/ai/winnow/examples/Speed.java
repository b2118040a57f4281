package ai.winnow.examples;

/**
 * One row of the table of speeds; the fields are those of {@code demo.json}.
 *
 * @param engine {@code libtorch} or {@code winnow}
 * @param dtype of the weights
 * @param prefillTokensPerSecond tokens of the prompt by the time they took
 * @param decodeTokensPerSecond by the median time of a token
 * @param scaledFromLayers the layers that were measured; fewer than the model has where memory was short, and the times are
 *     scaled to all of them (never those of the head)
 */
record Speed(
        String engine,
        String policy,
        String dtype,
        int threads,
        double prefillTokensPerSecond,
        double decodeTokensPerSecond,
        int scaledFromLayers) {}
