package ai.winnow.benchmarks.compare;

import ai.winnow.contract.OpCase;
import ai.winnow.contract.PreparedCase;
import ai.winnow.tensor.Layout;
import java.lang.foreign.Arena;
import java.util.Collections;

/** Any op that peers do not have as one call; its result is compared with the reference's, wholly. */
record OpProblem(Label label, OpCase declared, Work work) implements Problem {

    /** An op that reads and writes all its operands once and does little else. */
    static OpProblem reading(Label label, OpCase declared) {
        return new OpProblem(label, declared, Work.read((double) bytes(declared)));
    }

    private static long bytes(OpCase declared) {
        return declared.bytes(Collections.nCopies(declared.operands().size(), Layout.ROW_MAJOR));
    }

    @Override
    public Entry open(Ours ours) {
        double read = work.bound() == Bound.READ ? work.amount() / bytes(declared) : 1;
        Ours.Prepared prepared = ours.open(Fills.repeating(declared), read);
        return Entry.dense(prepared.subject(), work, result -> error(prepared.first(), result), null);
    }

    /** Against the reference, by the case's own tolerance. */
    static double error(PreparedCase prepared, float[] actual) {
        OpCase declared = prepared.declared();
        try (Arena arena = Arena.ofShared()) {
            float[] expected =
                    declared.reference(prepared.meant(), arena).getFirst().toFloats();
            double[] bounds = declared.tolerance().bounds(declared, prepared.meant(), expected);
            return error(actual, expected, bounds, 1);
        }
    }

    /** The greatest error as a share of {@code slack} times the bound of its element; equal numbers have none. */
    static double error(float[] actual, float[] expected, double[] bounds, double slack) {
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            if (actual[i] != expected[i]) {
                double error = Math.abs((double) actual[i] - expected[i]) / (slack * bounds[i]);
                worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
            }
        }
        return worst;
    }
}
