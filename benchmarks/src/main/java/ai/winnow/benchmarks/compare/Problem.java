package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.DType;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * One line of the comparison: what is computed. A kernel that no peer has is an {@link OpProblem}; what peers have as well is a
 * record of its own that says how they see it.
 */
sealed interface Problem
        permits OpProblem,
                LinearProblem,
                AttentionProblem,
                SparseAttentionProblem,
                MethodAttentionProblem,
                FeedForwardProblem {

    Label label();

    /** Brings the operands into memory and chooses the kernels. */
    Entry open(Ours ours);

    /**
     * How the line is named; the JSON's words.
     *
     * @param type what the weights or the cache are kept in
     */
    record Label(String kernel, DType type, String shape, Map<String, Object> params) {

        static Label of(String kernel, DType type, String shape) {
            return new Label(kernel, type, shape, Map.of());
        }

        Label with(String name, Object value) {
            Map<String, Object> more = new LinkedHashMap<>(params);
            more.put(name, value);
            return new Label(kernel, type, shape, more);
        }

        /** What the JVM has to compile. How much is skipped decides which branches are taken, the size does not. */
        String code() {
            return kernel + type + params;
        }

        String dtype() {
            return type.name().toLowerCase(Locale.ROOT);
        }

        @Override
        public String toString() {
            StringBuilder text = new StringBuilder(kernel + " " + dtype() + " " + shape);
            params.forEach(
                    (name, value) -> text.append(' ').append(name).append(' ').append(value));
            return text.toString();
        }
    }

    /** Which of the machine's limits a problem meets. */
    enum Bound {
        READ,
        MULTIPLY_ADD
    }

    /**
     * What has to be done at least.
     *
     * @param amount bytes to be read, and written where that is as much, or floating point operations. What is written counts once:
     *     though a line is read before it is written, a loop that only writes is as fast as one that only reads, and one that
     *     copies moves as many bytes (26, 30 and 25 to 31 GB/s with one thread of a Zen 4)
     */
    record Work(Bound bound, double amount) {

        static Work read(double bytes) {
            return new Work(Bound.READ, bytes);
        }

        static Work multiplyAdd(double operations) {
            return new Work(Bound.MULTIPLY_ADD, operations);
        }
    }
}
