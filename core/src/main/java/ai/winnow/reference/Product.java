package ai.winnow.reference;

import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.ValueLayout;

/** The product of a linear layer. */
final class Product {

    private Product() {}

    /**
     * {@code [rows, in] x [out, in] -> [rows, out]}: one f64 chain an output, inputs in ascending order. The innermost loop runs
     * over the rows, whose chains are independent, so that the compiler may vectorise it without reordering a sum.
     */
    static void matMul(Operands operands) {
        Elements x = Elements.input(operands, 0);
        Elements weight = Elements.input(operands, 1);
        Elements y = Elements.output(operands, 0);
        int rows = x.sizes()[0];
        int in = x.sizes()[1];
        int out = weight.sizes()[0];
        double[] columns = new double[in * rows]; // [in, rows]
        for (int row = 0; row < rows; row++) {
            for (int i = 0; i < in; i++) {
                columns[i * rows + row] = x.get((long) row * in + i);
            }
        }
        for (int o = 0; o < out; o++) {
            double[] sums = new double[rows];
            for (int i = 0; i < in; i++) {
                double w = weight(operands.input(1), weight, o, i);
                for (int row = 0; row < rows; row++) {
                    sums[row] += w * columns[i * rows + row];
                }
            }
            double scale = scale(operands.input(1), o);
            for (int row = 0; row < rows; row++) {
                y.set((long) row * out + o, sums[row] * scale);
            }
        }
    }

    private static double weight(Tensor tensor, Elements elements, int row, int column) {
        if (tensor.layout() instanceof Layout.ScaledGroups groups) {
            return elements.get(groups.index(tensor.spec(), row, column))
                    * tensor.segment().get(ValueLayout.JAVA_FLOAT, groups.scaleAt(tensor.spec(), row, column));
        }
        return elements.get((long) row * elements.last() + column);
    }

    /** What the elements of a weight's row are multiplied with. */
    private static double scale(Tensor weight, int row) {
        return weight.layout() instanceof Layout.ScaledRows
                ? weight.segment().get(ValueLayout.JAVA_FLOAT, Layout.ScaledRows.scalesOffset(weight.spec()) + 4L * row)
                : 1;
    }
}
