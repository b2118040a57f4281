package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * What the rows of {@code a F32 [m, width]} have in common with those of {@code b F32 [n, width]}, or each with all others of a:
 * the cosines of every pair, reduced to what {@code reduction} asks of each row of a. The m x n matrix is never stored.
 *
 * <p>The cosine is {@code a . b / (max(|a|, 1e-12) max(|b|, 1e-12))}: that of a row of zeros with any row is 0. NaN and infinity make
 * every cosine of their row NaN. The squares of a row must have a sum in f32.
 *
 * @param others whether there is one input, each row of which meets all rows but itself
 */
public record CosineReduce(Reduction reduction, boolean others) implements Fused.Defined {

    /** Norms are at least this: a row of zeros has no direction. */
    public static final float LEAST_NORM = 1e-12f;

    /** What becomes of the cosines of a row of a. */
    public sealed interface Reduction {

        /**
         * The greatest, F32 {@code [m]}, and the row of b it belongs to, I32 {@code [m]}; ties go to the lower row, NaN is greatest.
         * Of none, negative infinity and row 0.
         */
        record Greatest() implements Reduction {}

        /** How many are above {@code threshold}, I32 {@code [m]}: {@code !(cosine <= threshold)}, so NaN is counted. */
        record CountAbove(float threshold) implements Reduction {}

        /** Their sum, F32 {@code [m]}. */
        record Sum() implements Reduction {}
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, others ? 1 : 2);
        TensorSpec a = inputs.getFirst();
        Inference.require(a.shape().rank() == 2, () -> name() + " takes F32 [rows, width], got " + a);
        Inference.requireRows(this, inputs, 0, a.shape().max(1));
        Inference.requireRows(this, inputs, others ? 0 : 1, a.shape().max(1));
        Shape rows = Shape.rows(a.shape().rowDim());
        TensorSpec numbers = new TensorSpec(DType.F32, rows);
        TensorSpec integers = new TensorSpec(DType.I32, rows);
        return switch (reduction) {
            case Reduction.Greatest _ -> List.of(numbers, integers);
            case Reduction.CountAbove _ -> List.of(integers);
            case Reduction.Sum _ -> List.of(numbers);
        };
    }

    @Override
    public void evaluate(Operands operands) {
        int b = others ? 0 : 1;
        int width = Math.toIntExact(operands.input(0).shape().max(1));
        int n = operands.inRows(b);
        double[] norms = norms(operands.in(b), n, width);
        double[] cosines = new double[n];
        for (int row = 0; row < operands.inRows(0); row++) {
            double norm = norm(operands.in(0), row, width);
            for (int column = 0; column < n; column++) {
                cosines[column] = dot(operands.in(0), row, operands.in(b), column, width) / (norm * norms[column]);
            }
            int left = others ? row : -1; // the row itself is left out
            switch (reduction) {
                case Reduction.Greatest _ -> greatest(cosines, left, operands, row);
                case Reduction.CountAbove(float threshold) ->
                    DType.I32.setFloat(operands.out(0), row, countAbove(cosines, left, threshold));
                case Reduction.Sum _ -> DType.F32.setFloat(operands.out(0), row, (float) sum(cosines, left));
            }
        }
    }

    private static void greatest(double[] cosines, int left, Operands operands, int row) {
        double best = Double.NEGATIVE_INFINITY;
        int at = 0;
        for (int i = 0; i < cosines.length; i++) {
            if (i != left && !Double.isNaN(best) && !(cosines[i] <= best)) {
                best = cosines[i];
                at = i;
            }
        }
        DType.F32.setFloat(operands.out(0), row, (float) best);
        DType.I32.setFloat(operands.out(1), row, at);
    }

    private static int countAbove(double[] cosines, int left, float threshold) {
        int count = 0;
        for (int i = 0; i < cosines.length; i++) {
            count += i != left && !(cosines[i] <= threshold) ? 1 : 0;
        }
        return count;
    }

    private static double sum(double[] cosines, int left) {
        double sum = 0;
        for (int i = 0; i < cosines.length; i++) {
            sum += i == left ? 0 : cosines[i];
        }
        return sum;
    }

    private static double[] norms(MemorySegment x, int rows, int width) {
        double[] norms = new double[rows];
        Arrays.setAll(norms, row -> norm(x, row, width));
        return norms;
    }

    private static double norm(MemorySegment x, int row, int width) {
        return Math.max(Math.sqrt(dot(x, row, x, row, width)), LEAST_NORM);
    }

    private static double dot(MemorySegment x, int row, MemorySegment y, int column, int width) {
        double sum = 0;
        for (int i = 0; i < width; i++) {
            sum += (double) DType.F32.getFloat(x, (long) row * width + i)
                    * DType.F32.getFloat(y, (long) column * width + i);
        }
        return sum;
    }
}
