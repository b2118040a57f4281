package ai.winnow.sparsity.activation;

/** How inputs are chosen. */
public enum Mode {
    /** Those whose score exceeds a threshold found by calibration: how many varies from token to token. */
    THRESHOLD,
    /** Those with the greatest scores, equally many for every token. */
    TOPK
}
