package ai.winnow.contract;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/** How far a kernel's result may lie from the reference's. */
public sealed interface Tolerance {

    /** The greatest relative error of one rounding to f32. */
    double UNIT = 0x1p-24;

    /**
     * For each element of the first result how far it may lie off.
     *
     * @param inputs what the reference computed {@code expected} from
     */
    double[] bounds(OpCase declared, List<Tensor> inputs, float[] expected);

    /** Not at all: nothing is computed, or one operation that is rounded once. */
    record Exact() implements Tolerance {
        @Override
        public double[] bounds(OpCase declared, List<Tensor> inputs, float[] expected) {
            return new double[expected.length];
        }
    }

    /**
     * What a chain of {@code terms} f32 additions may lose: about {@code sqrt(terms)} roundings of the sum of magnitudes (Higham
     * and Mary 2019, theorem 2.4, at a confidence beyond any doubt), and a few more for what comes before and after. The sum of
     * magnitudes is what the op makes of the operands' absolute values. One term too many or too few lies far outside.
     */
    record Chain(int terms) implements Tolerance {
        @Override
        public double[] bounds(OpCase declared, List<Tensor> inputs, float[] expected) {
            try (Arena arena = Arena.ofConfined()) {
                List<Tensor> magnitudes =
                        inputs.stream().map(x -> absolute(x, arena)).toList();
                float[] sums = declared.reference(magnitudes, arena).getFirst().toFloats();
                double[] bounds = new double[sums.length];
                Arrays.setAll(bounds, i -> (8 + 2 * Math.sqrt(terms)) * UNIT * sums[i]);
                return bounds;
            }
        }

        private static Tensor absolute(Tensor tensor, Arena arena) {
            if (tensor.dtype() != DType.F32) {
                return tensor;
            }
            Tensor copy = Tensor.allocate(arena, tensor.spec(), Layout.ROW_MAJOR);
            MemorySegment segment = copy.segment();
            for (long i = 0; i < tensor.shape().maxElements(); i++) {
                DType.F32.setFloat(segment, i, Math.abs(tensor.getFloat(i)));
            }
            return copy;
        }
    }

    /** {@code units} roundings of the first input's element: for functions of one element that never exceed it. */
    record OfInput(int units) implements Tolerance {
        @Override
        public double[] bounds(OpCase declared, List<Tensor> inputs, float[] expected) {
            double[] bounds = new double[expected.length];
            Arrays.setAll(bounds, i -> units * UNIT * Math.abs(inputs.getFirst().getFloat(i)));
            return bounds;
        }
    }

    /** {@code units} roundings of the greatest result: for results whose parts may cancel. */
    record OfGreatest(int units) implements Tolerance {
        @Override
        public double[] bounds(OpCase declared, List<Tensor> inputs, float[] expected) {
            double greatest = 0;
            for (float x : expected) {
                greatest = Math.max(greatest, Math.abs(x));
            }
            double[] bounds = new double[expected.length];
            Arrays.fill(bounds, units * UNIT * greatest);
            return bounds;
        }
    }

    /**
     * {@code units} roundings of the greatest element of the first input: for results that differ from it by what all elements of a
     * row have in common.
     */
    record OfGreatestInput(int units) implements Tolerance {
        @Override
        public double[] bounds(OpCase declared, List<Tensor> inputs, float[] expected) {
            double greatest = 0;
            for (float x : inputs.getFirst().toFloats()) {
                greatest = Math.abs(x) > greatest ? Math.abs(x) : greatest; // NaN where there is no row now
            }
            double[] bounds = new double[expected.length];
            Arrays.fill(bounds, units * UNIT * greatest);
            return bounds;
        }
    }

    /** {@code units} roundings of each result, and of the smallest f32: for quotients and sums of what is positive. */
    record OfResult(int units) implements Tolerance {
        @Override
        public double[] bounds(OpCase declared, List<Tensor> inputs, float[] expected) {
            double[] bounds = new double[expected.length];
            Arrays.setAll(bounds, i -> units * (UNIT * Math.abs(expected[i]) + Float.MIN_VALUE));
            return bounds;
        }
    }
}
