package ai.winnow.benchmarks.compare;

import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * One computation on several copies of its operands in turn, so that they come from memory and not from a cache: for ours and for
 * peers alike.
 *
 * @param <T> one copy
 */
final class Rotation<T> implements Subject {

    /** More than any last-level cache that two cores get to themselves. */
    private static final long COLD_BYTES = 128L << 20;

    private static final int MOST_COPIES = 24;

    private final String call;
    private final List<T> copies;
    private final Consumer<T> run;
    private final Function<T, float[]> result;
    private final Runnable close;
    private final double inputRounding;
    private int next;
    private T last;

    /** @param result of the last run on this copy */
    Rotation(String call, List<T> copies, Consumer<T> run, Function<T, float[]> result, Runnable close) {
        this(call, copies, run, result, close, 0);
    }

    /** @param inputRounding as in {@link Subject} */
    Rotation(
            String call,
            List<T> copies,
            Consumer<T> run,
            Function<T, float[]> result,
            Runnable close,
            double inputRounding) {
        this.call = call;
        this.copies = List.copyOf(copies);
        this.run = run;
        this.result = result;
        this.close = close;
        this.inputRounding = inputRounding;
        this.last = copies.getFirst();
    }

    /** How many copies there must be of operands of which so many bytes are read. */
    static int copies(long bytes) {
        return Math.clamp(COLD_BYTES / Math.max(1, bytes) + 1, 1, MOST_COPIES);
    }

    @Override
    public void run() {
        last = copies.get(next);
        next = (next + 1) % copies.size();
        run.accept(last);
    }

    @Override
    public float[] result() {
        return result.apply(last);
    }

    @Override
    public String call() {
        return call;
    }

    @Override
    public double inputRounding() {
        return inputRounding;
    }

    @Override
    public void close() {
        close.run();
    }
}
