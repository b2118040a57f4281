package ai.winnow.benchmarks.compare;

/** Something to be timed. */
interface Subject extends AutoCloseable {

    /** Computes the result once. */
    void run();

    /** The result of the last run: {@code [rows, outputs]}, row-major. */
    float[] result();

    /** Which of several ways to compute it was the fastest and is timed. */
    String call();

    /** How far inputs may be rounded, in steps of 1/127 of the greatest of their row; 0 where they stay f32. */
    default double inputRounding() {
        return 0;
    }

    /** Frees the memory. */
    @Override
    void close();
}
