package ai.winnow.ir;

/** What a graph is run for. A model has one graph a phase, and a rewrite names the phases it touches. */
public enum Phase {
    /** All rows of an encoder at once; nothing is kept. */
    ENCODE,
    /** Many rows of each sequence; keys and values are kept. */
    PREFILL,
    /** One row of each sequence. */
    DECODE,
    /** Several draft rows of each sequence, accepted or taken back afterwards. */
    VERIFY
}
