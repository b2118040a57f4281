package ai.winnow.ir;

/** Which units of keys are chosen by their scores. NaN ranks above all numbers, so that it shows; equals go to the earlier unit. */
public sealed interface KeyRule {

    /** Whether scores are looked at. */
    default boolean needsScores() {
        return true;
    }

    /** The {@code units} with the greatest scores; all if there are no more. */
    record TopK(int units) implements KeyRule {
        public TopK {
            int k = units;
            Inference.require(
                    k >= 1, () -> "a list of the " + k + " best keys holds none; the budget must be at least 1");
        }
    }

    /** Those whose score is not at most {@code bound}. */
    record Above(float bound) implements KeyRule {
        public Above {
            float b = bound;
            Inference.require(!Float.isNaN(b), () -> "a bound of scores cannot be NaN");
        }
    }

    /**
     * The fewest with the greatest scores whose sum reaches {@code share} of the sum of all, at least one; scores are not negative. If
     * the sum is NaN or infinite, all.
     */
    record Mass(float share) implements KeyRule {
        public Mass {
            float s = share;
            Inference.require(s > 0 && s <= 1, () -> "a share of all scores must lie in (0, 1], not " + s);
        }
    }

    /** None: only those that are chosen by their place. */
    record ByPlace() implements KeyRule {
        @Override
        public boolean needsScores() {
            return false;
        }
    }
}
