package ai.winnow.contract;

import ai.winnow.ir.WeightStructure;
import ai.winnow.tensor.Tensor;
import java.util.BitSet;
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

    /** A matrix that has what {@code structure} declares, all of it, normally distributed; some of the zeros are -0. */
    static Fill structured(WeightStructure structure, double deviation) {
        return (tensor, random) -> {
            int rows = Math.toIntExact(tensor.shape().max(0));
            int columns = Math.toIntExact(tensor.shape().max(1));
            normal(deviation).fill(tensor, random);
            Kept kept =
                    switch (structure) {
                        case WeightStructure.Dense _ -> (row, column) -> true;
                        case WeightStructure.Unstructured(long nonZeros) -> {
                            BitSet some = some(rows * columns, nonZeros, random);
                            yield (row, column) -> some.get(row * columns + column);
                        }
                        case WeightStructure.Blocks16x1(long blocks) -> {
                            BitSet some = some((rows + 15) / 16 * columns, blocks, random);
                            yield (row, column) -> some.get(row / 16 * columns + column);
                        }
                        case WeightStructure.NOfM(int n, int m) -> {
                            BitSet all = new BitSet();
                            for (int row = 0; row < rows; row++) {
                                for (int from = 0; from < columns; from += m) {
                                    int at = row * columns + from;
                                    some(Math.min(m, columns - from), n, random).stream()
                                            .forEach(i -> all.set(at + i));
                                }
                            }
                            yield (row, column) -> all.get(row * columns + column);
                        }
                    };
            for (int row = 0; row < rows; row++) {
                for (int column = 0; column < columns; column++) {
                    if (!kept.at(row, column)) {
                        float zero = random.nextInt(4) == 0 ? -0f : 0;
                        tensor.dtype().setFloat(tensor.segment(), (long) row * columns + column, zero);
                    }
                }
            }
        };
    }

    /** Which elements of a matrix are not zero. */
    interface Kept {
        boolean at(int row, int column);
    }

    /** {@code count} of {@code of}, or all if there are fewer; each set is equally likely. */
    private static BitSet some(int of, long count, SplittableRandom random) {
        BitSet chosen = new BitSet(of);
        long left = count;
        for (int i = 0; i < of; i++) {
            if (random.nextLong(of - i) < left) {
                chosen.set(i);
                left--;
            }
        }
        return chosen;
    }
}
