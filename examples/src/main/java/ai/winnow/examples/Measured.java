package ai.winnow.examples;

/**
 * A row of the table of speeds with what stands beside it.
 *
 * @param tokenNanos time of a decoded token
 * @param headNanos what the head took of it
 * @param bytes weight bytes read for a token; 0 where it is not known
 * @param headBytes what the head read of them
 */
record Measured(Speed speed, double tokenNanos, double headNanos, double bytes, double headBytes) {

    /** How many times as fast as {@code other}. */
    double speedup(Measured other) {
        return other.tokenNanos / tokenNanos;
    }

    /** The same, with the time of the head taken out of both. */
    double speedupWithoutHead(Measured other) {
        return (other.tokenNanos - other.headNanos) / (tokenNanos - headNanos);
    }

    /** How many times fewer bytes than {@code other} this reads: no kernel that waits for memory can gain more. */
    double byteBound(Measured other) {
        return other.bytes / bytes;
    }

    double byteBoundWithoutHead(Measured other) {
        return (other.bytes - other.headBytes) / (bytes - headBytes);
    }
}
