package ai.winnow.benchmarks.compare;

/** Something to be timed. */
interface Subject extends AutoCloseable {

    /** Computes the result once. */
    void run();

    /** The result of the last run: {@code [rows, outputs]}, row-major. */
    float[] result();

    /** Frees the memory. */
    @Override
    void close();
}
