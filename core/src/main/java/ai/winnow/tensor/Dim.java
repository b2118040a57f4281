package ai.winnow.tensor;

import ai.winnow.ShapeException;

/** One axis of a shape. */
public sealed interface Dim {

    /** The most elements this axis can have; what memory is laid out for. */
    long max();

    /** An axis whose size is known when the graph is built. */
    record Fixed(long max) implements Dim {
        public Fixed {
            requireNotNegative(max);
        }

        @Override
        public String toString() {
            return Long.toString(max);
        }
    }

    /**
     * An axis whose size is known only when it runs (tokens of this step, tokens that survived pruning): at most {@code max},
     * and now as many as the int32 value named {@code extent} says.
     */
    record AtMost(long max, String extent) implements Dim {
        public AtMost {
            requireNotNegative(max);
        }

        @Override
        public String toString() {
            return extent + "<=" + max;
        }
    }

    static Dim of(long size) {
        return new Fixed(size);
    }

    private static void requireNotNegative(long size) {
        if (size < 0) {
            throw new ShapeException("a dimension cannot be negative: " + size);
        }
    }
}
