package ai.winnow.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HistogramTest {

    private static final int COUNT = 20_000;

    private static Histogram of(float... values) {
        Histogram histogram = new Histogram();
        for (float value : values) {
            histogram.add(value);
        }
        return histogram;
    }

    /** Normally distributed, every thousandth {@code outlier} times greater. */
    private static float[] sample(long seed, double outlier) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] values = new float[COUNT];
        for (int i = 0; i < COUNT; i++) {
            values[i] = (float) (random.nextGaussian() * (i % 1000 == 0 ? outlier : 1));
        }
        return values;
    }

    @ParameterizedTest
    @ValueSource(doubles = {1, 100, 1e6})
    void quantilesAreThoseOfTheValuesWhateverTheOutliers(double outlier) {
        float[] values = sample(1, outlier);
        Histogram histogram = of(values);
        float[] magnitudes = values.clone();
        for (int i = 0; i < COUNT; i++) {
            magnitudes[i] = Math.abs(magnitudes[i]);
        }
        Arrays.sort(magnitudes);
        for (double q : new double[] {0.01, 0.25, 0.4, 0.5, 0.65, 0.9, 0.99}) {
            float exact = magnitudes[(int) Math.ceil(q * COUNT) - 1];
            float found = histogram.quantile(q);
            assertThat(found).as("quantile %s", q).isCloseTo(exact, within(exact / 128));
            long dropped =
                    Arrays.stream(toDoubles(magnitudes)).filter(x -> x <= found).count();
            assertThat((double) dropped / COUNT).as("share at %s", q).isCloseTo(q, within(0.003));
        }
        assertThat(histogram.quantile(1)).isGreaterThanOrEqualTo(magnitudes[COUNT - 1]);
    }

    private static double[] toDoubles(float[] values) {
        double[] wide = new double[values.length];
        for (int i = 0; i < wide.length; i++) {
            wide[i] = values[i];
        }
        return wide;
    }

    @Test
    void exactZerosCountAsZero() {
        Histogram histogram = of(0, -0f, 0, 3);
        assertThat(histogram.total()).isEqualTo(4);
        assertThat(histogram.quantile(0)).isZero();
        assertThat(histogram.quantile(0.75)).isZero();
        assertThat(histogram.quantile(0.76)).isGreaterThanOrEqualTo(3);
    }

    @Test
    void quantilesGrowWithTheShare() {
        Histogram histogram = of(sample(2, 10));
        float before = 0;
        for (int i = 0; i <= 1000; i++) {
            float now = histogram.quantile(i / 1000.0);
            assertThat(now).isGreaterThanOrEqualTo(before);
            before = now;
        }
    }

    @Test
    void mergedHistogramsAreThatOfAllValues() {
        float[] values = sample(3, 50);
        Histogram left = of(Arrays.copyOf(values, 777));
        left.merge(of(Arrays.copyOfRange(values, 777, COUNT)));
        try (Arena arena = Arena.ofConfined()) {
            assertThat(bins(left.toTensor(arena)))
                    .containsExactly(bins(of(values).toTensor(arena)));
        }
    }

    @Test
    void aTensorBringsItBack() {
        Histogram histogram = of(0, 1e-30f, 0.5f, -0.5f, Float.MAX_VALUE, Float.MIN_VALUE);
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = histogram.toTensor(arena);
            assertThat(bins(Histogram.of(tensor).toTensor(arena))).containsExactly(bins(tensor));
            assertThat(Histogram.of(tensor).total()).isEqualTo(6);
            Tensor empty = new Histogram().toTensor(arena);
            assertThat(empty.shape().max(0)).isEqualTo(2);
            assertThat(Histogram.of(empty).total()).isZero();
        }
    }

    private static long[] bins(Tensor tensor) {
        return tensor.segment().toArray(ValueLayout.JAVA_LONG);
    }

    @Test
    void rowsAreScoredByFactorsAndOnlyThoseThatCount() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor rows = Tensor.copyOf(arena, new float[] {1, -2, 3, 4, Float.NaN, Float.NaN}, 3, 2);
            Histogram histogram = new Histogram();
            histogram.add(rows, 2, new float[] {10, 0});
            assertThat(bins(histogram.toTensor(arena)))
                    .containsExactly(bins(of(10, 0, 30, 0).toTensor(arena)));
            Histogram plain = new Histogram();
            plain.accept(rows, 2);
            assertThat(bins(plain.toTensor(arena)))
                    .containsExactly(bins(of(1, 2, 3, 4).toTensor(arena)));
        }
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void whatIsNotFiniteIsRefused(float value) {
        Histogram histogram = new Histogram();
        assertThatThrownBy(() -> histogram.add(value)).isInstanceOf(IllegalArgumentException.class);
        assertThat(histogram.total()).isZero();
    }

    @Test
    void sharesOutsideZeroToOneAreRefused() {
        Histogram histogram = of(1);
        for (double q : new double[] {-0.1, 1.1, Double.NaN}) {
            assertThatThrownBy(() -> histogram.quantile(q)).isInstanceOf(IllegalArgumentException.class);
        }
        assertThatThrownBy(() -> new Histogram().quantile(0.5)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void damagedTensorsAreRefused() {
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> Histogram.of(Tensor.allocate(arena, DType.F32, 5)))
                    .isInstanceOf(ArtefactException.class);
            assertThatThrownBy(() -> Histogram.of(Tensor.allocate(arena, DType.I64, 1)))
                    .isInstanceOf(ArtefactException.class);
            for (long[] damaged :
                    new long[][] {{-1, 5, 1}, {0, -1, 1}, {0, 0x7f80, 1}, {0, 5, -1}, {0, 5, Long.MAX_VALUE}}) {
                Tensor tensor = Tensor.allocate(arena, DType.I64, damaged.length);
                for (int i = 0; i < damaged.length; i++) {
                    tensor.segment().setAtIndex(ValueLayout.JAVA_LONG, i, damaged[i]);
                }
                assertThatThrownBy(() -> Histogram.of(tensor))
                        .as(Arrays.toString(damaged))
                        .isInstanceOf(ArtefactException.class);
            }
        }
    }
}
