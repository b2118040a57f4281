package ai.winnow.sparsity.activation.inputs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class GreedySearchTest {

    /** The projections of Llama-3-8B, in millions of weights. */
    private static final long[] SIZES = {16, 4, 4, 16, 56, 56, 56};

    private static final double[] PAIN = {3, 1, 9, 2, 4, 5, 7};
    private static final GreedySearch TEAL = new GreedySearch(0.05, 0.9, 0.25);

    private final Arena arena = Arena.ofConfined();

    @AfterEach
    void close() {
        arena.close();
    }

    private static double error(double[] shares) {
        double sum = 0;
        for (int i = 0; i < shares.length; i++) {
            sum += PAIN[i] * shares[i] * shares[i] * SIZES[i];
        }
        return sum;
    }

    private static double at(Tensor found, int row, int column) {
        return found.getFloat((long) row * (SIZES.length + 1) + column);
    }

    @Test
    void everyStepRemovesTheSameWeightsFromOneProjection() {
        Tensor found = TEAL.run(SIZES, GreedySearchTest::error, arena);
        for (int row = 1; row < found.shape().max(0); row++) {
            int changed = 0;
            for (int i = 0; i < SIZES.length; i++) {
                double removed = (at(found, row, i + 1) - at(found, row - 1, i + 1)) * SIZES[i];
                assertThat(removed == 0 || Math.abs(removed - 0.05 * 16) < 1e-5)
                        .as("row %d removes %s of projection %d", row, removed, i)
                        .isTrue();
                changed += removed == 0 ? 0 : 1;
                assertThat(at(found, row, i + 1)).isBetween(0.0, 1 + 1e-6);
            }
            assertThat(changed).isOne();
        }
    }

    @Test
    void theWeightedMeanIsWrittenDownAndReachesTheEnd() {
        Tensor found = TEAL.run(SIZES, GreedySearchTest::error, arena);
        int rows = (int) found.shape().max(0);
        for (int row = 0; row < rows; row++) {
            double mean = 0;
            for (int i = 0; i < SIZES.length; i++) {
                mean += at(found, row, i + 1) * SIZES[i] / 208;
            }
            assertThat(at(found, row, 0)).isCloseTo(mean, within(1e-6));
        }
        assertThat(at(found, rows - 1, 0)).isBetween(0.9 - 1e-6, 0.9 + 0.05 * 16 / 208);
    }

    @Test
    void eachStepTakesTheLeastError() {
        Tensor found = new GreedySearch(0.25, 0.2, 0.25).run(SIZES, GreedySearchTest::error, arena);
        // A quarter of q (4 million) costs 3*16/16 = 3, of k all: 1*4 = 4, of o 2*16/16 = 2, of gate 4*(4/56)^2*56 =
        // 1.14.
        assertThat(at(found, 1, 5)).isCloseTo(4.0 / 56, within(1e-6));
    }

    @Test
    void tiesGoToTheFirst() {
        Tensor found = TEAL.run(SIZES, shares -> 0, arena);
        assertThat(at(found, 20, 1)).isCloseTo(1, within(1e-6));
        assertThat(at(found, 20, 2)).isZero();
        assertThat(at(found, 25, 2)).isCloseTo(1, within(1e-6));
    }

    @Test
    void theNearestRowIsChosen() {
        Tensor found = TEAL.run(SIZES, GreedySearchTest::error, arena);
        for (double wanted : new double[] {0, 0.25, 0.5, 0.9}) {
            double[] shares = GreedySearch.nearest(found, wanted, "teal");
            double mean = 0;
            for (int i = 0; i < SIZES.length; i++) {
                mean += shares[i] * SIZES[i] / 208;
            }
            assertThat(mean).isCloseTo(wanted, within(0.5 * 0.05 * 16 / 208 + 1e-6));
        }
        assertThatThrownBy(() -> GreedySearch.nearest(found, 0.95, "teal:0.95"))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining("teal:0.95");
    }

    /** A step of a projection may be greater than all of it: then it is left alone, and the search ends where it must. */
    @Test
    void projectionsWithoutAWholeStepAreSkipped() {
        Tensor found = new GreedySearch(0.3, 0.9, 0.25).run(new long[] {10, 2}, shares -> shares[0], arena);
        assertThat(found.shape().max(0)).isEqualTo(4);
        assertThat(found.getFloat(3 * 3 + 1)).isCloseTo(0.9f, within(1e-6f));
        assertThat(found.getFloat(3 * 3 + 2)).isZero();
    }
}
