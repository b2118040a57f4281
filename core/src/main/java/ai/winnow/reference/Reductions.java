package ai.winnow.reference;

import ai.winnow.ir.Primitive.Reduce;
import ai.winnow.tensor.Operands;

/** Sums and extremes along an axis: in ascending order, in f64, rounded once. */
final class Reductions {

    private Reductions() {}

    static void reduce(Reduce.Reduction reduction, int axis, Operands operands) {
        Elements in = Elements.input(operands, 0);
        Elements out = Elements.output(operands, 0);
        long outer = in.count(0, axis);
        int size = in.sizes()[axis];
        long inner = in.count(axis + 1, in.rank());
        for (long o = 0; o < outer; o++) {
            for (long i = 0; i < inner; i++) {
                double result =
                        switch (reduction) {
                            case SUM -> 0;
                            case MAX -> Double.NEGATIVE_INFINITY;
                            case MIN -> Double.POSITIVE_INFINITY;
                        };
                for (int k = 0; k < size; k++) {
                    double x = in.get((o * size + k) * inner + i);
                    result = switch (reduction) {
                        case SUM -> result + x;
                        case MAX -> Math.max(result, x);
                        case MIN -> Math.min(result, x);
                    };
                }
                out.set(o * inner + i, result);
            }
        }
    }

    static void cumulativeSum(Operands operands) {
        Elements in = Elements.input(operands, 0);
        Elements out = Elements.output(operands, 0);
        double sum = 0;
        for (long at = 0; at < in.count(); at++) {
            sum = at % in.last() == 0 ? in.get(at) : sum + in.get(at);
            out.set(at, sum);
        }
    }
}
