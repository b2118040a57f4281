package ai.winnow.benchmarks.compare;

/** Something to be timed. */
interface Subject extends AutoCloseable {

    /** Computes the result once. */
    void run();

    /** The result of the last run: {@code [rows, outputs]}, row-major. */
    float[] result();

    /** Which of several ways to compute it was the fastest and is timed. */
    String call();

    /** Whether inputs are rounded to 8 bits, which costs precision. */
    default boolean quantisesInputs() {
        return false;
    }

    /** Frees the memory. */
    @Override
    void close();
}
