package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Entry.Sparse;
import ai.winnow.benchmarks.compare.Task.FourBitTask;
import ai.winnow.benchmarks.compare.Task.LinearTask;
import ai.winnow.contract.Fill;
import ai.winnow.contract.LinearCases;
import ai.winnow.contract.OpCase;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.SparseLinear;
import ai.winnow.ir.WeightStructure;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout.ScaledGroups;
import ai.winnow.tensor.Tensor;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/**
 * A linear layer, dense or sparse. Peers compute the dense one, since none has another.
 *
 * @param sparsity the share of inputs (of each row), of outputs or of weights that is skipped, but for chance
 * @param declared its op is Linear, SparseLinear or MaskedLinear
 */
record LinearProblem(Label label, int rows, int in, int out, float sparsity, OpCase declared) implements Problem {

    /** From how many rows on a product is bound by multiplications and not by reading. */
    private static final int MANY_ROWS = 16;

    /** {@code gemv} of one row, {@code gemm} of more. */
    static LinearProblem dense(int rows, int in, int out, DType type) {
        Label label = label(rows == 1 ? "gemv" : "gemm", rows, in, out, type);
        return new LinearProblem(label, rows, in, out, 0, declared(rows, in, out, type));
    }

    /** Inputs below a threshold are skipped; each row selects for itself. */
    static LinearProblem sparse(int rows, int in, int out, DType type, float sparsity) {
        return sparse("threshold", rows, in, out, type, new InputSelection.Threshold(sparsity), sparsity);
    }

    /** The same by thresholds that each input has of its own. */
    static LinearProblem sparseByChannel(int in, int out, DType type, float sparsity) {
        LinearProblem problem = sparse("channel", 1, in, out, type, new InputSelection.ChannelThreshold(), sparsity);
        return new LinearProblem(
                problem.label, 1, in, out, sparsity, Fills.with(problem.declared, 2, Fill.oneOf(sparsity)));
    }

    /** The same by keeping so many of the greatest inputs. */
    static LinearProblem sparseByTopK(int in, int out, DType type, float sparsity) {
        int keep = Math.round(in * (1 - sparsity));
        return sparse("top-k", 1, in, out, type, new InputSelection.TopK(keep), sparsity);
    }

    private static LinearProblem sparse(
            String predicate, int rows, int in, int out, DType type, InputSelection selection, float sparsity) {
        Label label = label("sparse-gemv", rows, in, out, type)
                .with("sparsity", sparsity)
                .with("predicate", predicate);
        Fill uniform = Fill.uniform(-1, 1);
        OpCase declared = LinearCases.sparse(Phase.DECODE, rows, in, out, type, selection, uniform, false);
        return new LinearProblem(label, rows, in, out, sparsity, declared);
    }

    /** Outputs whose mask is 0 are skipped. */
    static LinearProblem masked(int in, int out, DType type, float sparsity) {
        Label label = label("masked-rows", 1, in, out, type).with("sparsity", sparsity);
        OpCase declared = LinearCases.masked(Phase.DECODE, 1, in, out, type, false);
        return new LinearProblem(label, 1, in, out, sparsity, Fills.with(declared, 2, Fills.mask(sparsity)));
    }

    /** A share of the weights is not zero, anywhere. */
    static LinearProblem unstructured(int in, int out, DType type, float density) {
        return sparseWeight("unstructured", in, out, type, LinearCases.unstructured(in, out, density), density);
    }

    /** A share of the blocks of 16 outputs of an input is not zero. */
    static LinearProblem blocks(int in, int out, DType type, float density) {
        return sparseWeight("blocks of 16x1", in, out, type, LinearCases.blocks(in, out, density), density);
    }

    /** Of four neighbouring weights of an output two are not zero. */
    static LinearProblem twoOfFour(int in, int out, DType type) {
        return sparseWeight("2:4", in, out, type, new WeightStructure.NOfM(2, 4), 0.5f);
    }

    /** In the layout that the planner would choose. */
    private static LinearProblem sparseWeight(
            String pattern, int in, int out, DType type, WeightStructure structure, float density) {
        Label label = label("sparse-weight", 1, in, out, type)
                .with("density", density)
                .with("pattern", pattern);
        OpCase declared = LinearCases.sparseWeight(Phase.DECODE, 1, in, out, type, structure, false);
        return new LinearProblem(label, 1, in, out, 1 - density, declared);
    }

    private boolean hasSparseWeight() {
        return !declared.operands().get(1).structure().equals(WeightStructure.dense());
    }

    private static Label label(String kernel, int rows, int in, int out, DType type) {
        Label label = Label.of(kernel, type, out + "x" + in);
        return rows == 1 ? label : label.with("rows", rows);
    }

    private static OpCase declared(int rows, int in, int out, DType type) {
        return LinearCases.linear(rows < MANY_ROWS ? Phase.DECODE : Phase.PREFILL, rows, in, out, type, false);
    }

    @Override
    public Entry open(Ours ours) {
        double read = 1 - Math.pow(sparsity, rows); // what some row keeps
        Ours.Prepared prepared =
                hasSparseWeight() ? ours.open(declared, 1) : ours.open(Fills.repeating(declared), read);
        List<Tensor> meant = prepared.first().meant();
        Tensor weight = meant.get(1);
        float[] x = meant.getFirst().toFloats();
        return switch (declared.op()) {
            case Linear _ -> {
                LinearOracle oracle = new LinearOracle(rows, in, out, x, weight::getFloat, null);
                if (hasSparseWeight()) {
                    Work stored = Work.read((double) prepared.bytes());
                    Sparse beside = new Sparse(dense(ours), 1 - sparsity);
                    yield new Entry(prepared.subject(), stored, y -> oracle.error(y, 0), beside, null);
                }
                Work work = rows >= MANY_ROWS
                        ? Work.multiplyAdd(2.0 * rows * in * out)
                        : Work.read((double) prepared.bytes());
                yield Entry.dense(prepared.subject(), work, y -> oracle.error(y, 0), task(prepared));
            }
            case SparseLinear op -> {
                double share = keep(op.selection(), x, meant);
                LinearOracle oracle = new LinearOracle(rows, in, out, x, weight::getFloat, null);
                yield sparse(ours, prepared, share, oracle);
            }
            case MaskedLinear _ -> {
                float[] mask = meant.get(2).toFloats();
                LinearOracle oracle = new LinearOracle(rows, in, out, x, weight::getFloat, mask);
                int computed = 0;
                for (int o = 0; o < out; o++) {
                    computed += mask[o] == 0 ? 0 : 1;
                }
                yield sparse(ours, prepared, (double) computed / out, oracle);
            }
            default -> throw new IllegalStateException(declared + " is not a linear layer");
        };
    }

    private Entry sparse(Ours ours, Ours.Prepared prepared, double share, LinearOracle oracle) {
        Work work = Work.read(prepared.bytes() * share);
        return new Entry(prepared.subject(), work, y -> oracle.error(y, 0), new Sparse(dense(ours), share), null);
    }

    /** The layer of this shape that leaves nothing out, with weights of its own. */
    private Dense dense(Ours ours) {
        return ours.dense(Fills.repeating(declared(rows, in, out, label.type())), this::task);
    }

    private Task task(Ours.Prepared prepared) {
        Tensor inputs = prepared.first().meant().get(0);
        Tensor weight = prepared.first().meant().get(1);
        return label.type() == DType.I4
                ? FourBitTask.quantised(rows, in, out, ScaledGroups.SMALL, inputs, weight, prepared.arena())
                : new LinearTask(rows, in, out, label.type(), inputs, weight);
    }

    /** Zeroes what each row skips. @return the share of inputs that some row keeps: their weights have to be read */
    private double keep(InputSelection selection, float[] x, List<Tensor> meant) {
        BitSet kept = new BitSet(in);
        for (int row = 0; row < rows; row++) {
            int at = row * in;
            float least = selection instanceof InputSelection.TopK top ? greatest(x, at, top.keep()) : 0;
            for (int i = 0; i < in; i++) {
                float magnitude = Math.abs(x[at + i]);
                boolean keep =
                        switch (selection) {
                            case InputSelection.Threshold by -> magnitude > by.threshold();
                            case InputSelection.ChannelThreshold _ ->
                                magnitude > meant.get(2).getFloat(i);
                            case InputSelection.TopK _ -> magnitude >= least;
                            case InputSelection.WeightedTopK _ ->
                                throw new IllegalArgumentException("no comparison selects by " + selection);
                        };
                if (keep) {
                    kept.set(i);
                } else {
                    x[at + i] = 0;
                }
            }
        }
        return (double) kept.cardinality() / in;
    }

    /** The {@code keep}-th greatest magnitude; random numbers do not tie. */
    private float greatest(float[] x, int at, int keep) {
        float[] magnitudes = Arrays.copyOfRange(x, at, at + in);
        for (int i = 0; i < in; i++) {
            magnitudes[i] = Math.abs(magnitudes[i]);
        }
        Arrays.sort(magnitudes);
        return magnitudes[in - keep];
    }
}
