package ai.winnow.examples;

/**
 * One row of the table of quality; the fields are those of {@code demo.json}.
 *
 * @param sparsityAsked what the policy was told to remove
 * @param sparsityReached share of the weight bytes that a sequence decoded alone does not read, of all linear layers and the head
 * @param tokens how many predictions were scored
 */
record Quality(
        String policy,
        double sparsityAsked,
        double sparsityReached,
        double perplexity,
        double densePerplexity,
        int tokens) {}
