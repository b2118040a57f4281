package ai.winnow.runtime;

/**
 * A sequence of a session. An id is used once: after {@link Session#close(SequenceId)} its slot may serve another sequence, which
 * has another id.
 */
public record SequenceId(int slot, long serial) {}
