package ai.winnow.reference;

import ai.winnow.tensor.Operands;
import java.util.Comparator;
import java.util.stream.IntStream;

/** Which elements of a row are greatest. NaN is greater than everything, equal elements (0 and -0 too) rank by index. */
final class Selection {

    private Selection() {}

    static void argMax(Operands operands) {
        Elements in = Elements.input(operands, 0);
        Elements out = Elements.output(operands, 0);
        for (long row = 0; row < out.count(); row++) {
            long start = row * in.last();
            int best = 0;
            for (int i = 1; i < in.last(); i++) {
                if (isGreater(in.get(start + i), in.get(start + best))) {
                    best = i;
                }
            }
            out.set(row, best);
        }
    }

    static void topKMask(int keep, Operands operands) {
        Elements in = Elements.input(operands, 0);
        Elements out = Elements.output(operands, 0);
        int size = in.last();
        for (long start = 0; start < in.count(); start += size) {
            long row = start;
            int[] greatestFirst = IntStream.range(0, size)
                    .boxed()
                    .sorted(Comparator.comparing(
                            (Integer i) -> in.get(row + i),
                            (a, b) -> isGreater(a, b) ? -1 : isGreater(b, a) ? 1 : 0)) // stable: ties stay in order
                    .mapToInt(Integer::intValue)
                    .toArray();
            for (int rank = 0; rank < size; rank++) {
                out.set(row + greatestFirst[rank], rank < keep ? 1 : 0);
            }
        }
    }

    private static boolean isGreater(double a, double b) {
        return Double.isNaN(a) ? !Double.isNaN(b) : a > b;
    }
}
