package ai.winnow.contract;

import ai.winnow.tensor.Tensor;
import java.util.SplittableRandom;

/** How an operand of an {@link OpCase} is filled; the same seed, the same numbers. */
@FunctionalInterface
public interface Fill {

    /** Fills the row-major {@code tensor}. */
    void fill(Tensor tensor, SplittableRandom random);

    /** Where one element's number comes from. */
    @FunctionalInterface
    interface Source {
        double next(SplittableRandom random);
    }

    private static Fill each(Source source) {
        return (tensor, random) -> {
            long count = tensor.shape().maxElements();
            for (long i = 0; i < count; i++) {
                tensor.dtype().setFloat(tensor.segment(), i, (float) source.next(random));
            }
        };
    }

    /** Normally distributed, and never exactly 0. */
    static Fill normal(double deviation) {
        return each(random -> {
            double x = random.nextGaussian() * deviation;
            return (float) x == 0 ? deviation : x;
        });
    }

    /** Evenly distributed from {@code low} to {@code high}. */
    static Fill uniform(double low, double high) {
        return each(random -> random.nextDouble(low, high));
    }

    /** Whole numbers from 0 to {@code bound}, exclusive: ids, positions. */
    static Fill below(int bound) {
        return each(random -> random.nextInt(bound));
    }

    /** One of {@code choices}: few different numbers meet often, so ties and equalities are tested. */
    static Fill oneOf(float... choices) {
        return each(random -> choices[random.nextInt(choices.length)]);
    }

    /** These numbers, then zeros. */
    static Fill listed(int... numbers) {
        return (tensor, random) -> {
            for (int i = 0; i < numbers.length; i++) {
                tensor.dtype().setFloat(tensor.segment(), i, numbers[i]);
            }
        };
    }
}
