package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Problem.Work;
import org.jspecify.annotations.Nullable;

/**
 * A problem in memory.
 *
 * @param oracle judges our result
 * @param sparse beside which dense kernel of ours it runs, if it leaves something out
 * @param task what peers are asked to compute, if they can and it is not what they compute beside something sparse
 */
record Entry(
        Subject ours,
        Work work,
        Oracle oracle,
        @Nullable Sparse sparse,
        @Nullable Task task) implements AutoCloseable {

    /** The greatest error of a result, as a share of what is allowed: above 1 the result is wrong. */
    @FunctionalInterface
    interface Oracle {
        double error(float[] result);
    }

    /**
     * What a sparse kernel is measured against.
     *
     * @param dense our own dense kernel of the same type, the fastest there is, and those of peers; not closed with the entry
     * @param share of the dense kernel's work that is left
     */
    record Sparse(Dense dense, double share) {}

    /** A problem that leaves nothing out. */
    static Entry dense(Subject ours, Work work, Oracle oracle, @Nullable Task task) {
        return new Entry(ours, work, oracle, null, task);
    }

    @Override
    public void close() {
        ours.close();
    }
}
