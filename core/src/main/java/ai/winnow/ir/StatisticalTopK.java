package ai.winnow.ir;

import static ai.winnow.ir.RmsNorm.scalar;

import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Compare;
import ai.winnow.ir.Primitive.Reduce;
import ai.winnow.ir.Primitive.Unary;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * Statistical top-k (Spark Transformer, You et al. 2025) of each row: {@code x F32 [rows, width] -> F32 [rows, width]}, {@code x -
 * theta} where {@code x > theta = mean + deviations * sqrt(variance)}, with the population's variance. Were the row normally
 * distributed, as many would be above as {@link #keeping} was asked for; how many there are is never exact. What remains is moved
 * down by theta: a soft threshold, not a mask.
 *
 * <p>A row that holds NaN or an infinity shows it: all of it becomes NaN, or with {@link Dropped#NEGATIVE_INFINITY} one element. So
 * scores that are masked out must not be in the row.
 *
 * @param width elements of a row
 * @param deviations how many standard deviations above the mean the threshold lies
 * @param dropped what becomes of the others
 */
public record StatisticalTopK(int width, float deviations, Dropped dropped) implements Fused.Composite {

    /** What becomes of an element that is not above the threshold. */
    public enum Dropped {
        /** 0, as in the feed-forward layer: {@code max(x - theta, 0)}. If all elements are equal none remains. */
        ZERO,
        /** Negative infinity, as for the scores of attention. If none is above the threshold, the first greatest remains. */
        NEGATIVE_INFINITY
    }

    /** Keeps about {@code keep} of {@code width}, fewer than all: to keep all, leave the op out. */
    public static StatisticalTopK keeping(int keep, int width, Dropped dropped) {
        Inference.require(0 < keep && keep < width, () -> "cannot keep about " + keep + " of " + width);
        return new StatisticalTopK(width, (float) quantile(1 - (double) keep / width), dropped);
    }

    /**
     * Below which a standard normal number lies with probability {@code p}. Newton's method on the distribution function, a series of
     * positive terms (Abramowitz and Stegun 26.2.11); from 0 on it comes from one side and cannot overshoot.
     */
    static double quantile(double p) {
        Inference.require(0 < p && p < 1, () -> p + " is no probability between 0 and 1");
        double upper = Math.max(p, 1 - p);
        double x = 0;
        for (double step = 1; step > 1e-15 * (1 + x); ) {
            double density = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
            double sum = 0;
            double term = x;
            for (int n = 3; term > 1e-18 * sum; n += 2) {
                sum += term;
                term *= x * x / n;
            }
            step = (upper - 0.5) / density - sum;
            x += step;
        }
        return p < 0.5 ? -x : x;
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 1);
        Inference.requireRows(this, inputs, 0, width);
        return inputs;
    }

    @Override
    public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
        Site site = Site.global(Role.OTHER);
        Value x = inputs.getFirst();
        Value mean = LayerNorm.mean(builder, site, x, width);
        Value centred = builder.add(new Binary(Binary.Operator.SUB), site, x, mean);
        Value variance = LayerNorm.variance(builder, site, centred, width);
        Value deviation = builder.add(new Unary(Unary.Function.SQRT), site, variance);
        Value above = builder.add(new Binary(Binary.Operator.MUL), site, deviation, scalar(builder, site, deviations));
        Value theta = builder.add(new Binary(Binary.Operator.ADD), site, mean, above);
        Value moved = builder.add(new Binary(Binary.Operator.SUB), site, x, theta);
        return List.of(
                switch (dropped) {
                    case ZERO -> builder.add(new Unary(Unary.Function.RELU), site, moved);
                    case NEGATIVE_INFINITY -> {
                        Value kept = orFirst(builder, site, x, theta);
                        Value lowest = scalar(builder, site, Float.NEGATIVE_INFINITY);
                        yield builder.add(new Primitive.Select(), site, kept, moved, lowest);
                    }
                });
    }

    /** BOOL {@code [rows, width]}: where {@code x > theta}; in rows without any, the first greatest. */
    private Value orFirst(GraphBuilder builder, Site site, Value x, Value theta) {
        Value kept = builder.add(new Compare(Compare.Relation.LESS), site, theta, x);
        Value numbers = builder.add(new Primitive.Cast(DType.F32), site, kept);
        Value any = builder.add(new Reduce(Reduce.Reduction.MAX, 1), site, numbers);
        Value none = builder.add(new Unary(Unary.Function.NOT), site, bool(builder, site, any));
        Value first = builder.add(new Primitive.ArgMax(), site, x);
        Value iota = builder.add(new Primitive.Iota(width), site);
        Value isFirst = builder.add(new Compare(Compare.Relation.EQUAL), site, first, iota);
        Value instead = builder.add(new Binary(Binary.Operator.AND), site, isFirst, none);
        return builder.add(new Binary(Binary.Operator.OR), site, kept, instead);
    }

    private static Value bool(GraphBuilder builder, Site site, Value number) {
        return builder.add(new Primitive.Cast(DType.BOOL), site, number);
    }
}
