package ai.winnow.runtime;

import ai.winnow.ir.Embedding;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.SparseLinear;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;

/**
 * Counts the bytes of linear layers' weights that steps read, against those that the dense model would have read. With several
 * rows in a step a weight counts once for each row, as if the rows were decoded one by one. Give it to {@link Session#observe}.
 */
public final class WeightTraffic implements NodeObserver {

    private final double denseBytesPerRow;
    private double read;
    private long rows;

    /** For sessions of {@code model}. */
    public WeightTraffic(SparseModel model) {
        double bytes = 0;
        for (Node node : model.denseGraph(Phase.DECODE).nodes()) {
            if (node.op() instanceof Linear) {
                bytes += node.input(1).spec().maxBytes();
            }
        }
        this.denseBytesPerRow = bytes;
    }

    /** Share of the dense model's weight bytes that were not read, the head included: the sparsity reached. */
    public double sparsity() {
        return rows == 0 ? 0 : 1 - bytesPerRow() / denseBytesPerRow;
    }

    /** Bytes read for one token, on average. */
    public double bytesPerRow() {
        return read / Math.max(1, rows);
    }

    /** Bytes that the dense model reads for one token. */
    public double denseBytesPerRow() {
        return denseBytesPerRow;
    }

    @Override
    public void after(Node node, Operands operands) {
        switch (node.op()) {
            case Embedding _ -> rows += operands.inRows(0);
            case Linear _ -> count(operands, 1);
            case SparseLinear sparse -> count(operands, keptInputs(sparse.selection(), operands));
            case MaskedLinear _ -> count(operands, share(operands.in(2), operands, 2, value -> value != 0));
            default -> {
                // Everything else reads no weights, or so few that they do not count.
            }
        }
    }

    private void count(Operands operands, double share) {
        read += (double) operands.input(1).spec().maxBytes() * operands.inRows(0) * share;
    }

    private static double keptInputs(InputSelection selection, Operands operands) {
        int width = Math.toIntExact(operands.input(0).shape().max(1));
        return switch (selection) {
            case InputSelection.Threshold t -> share(operands.in(0), operands, 0, x -> !(Math.abs(x) <= t.threshold()));
            case InputSelection.TopK k -> Math.min(1, (double) k.keep() / width);
            case InputSelection.WeightedTopK k -> Math.min(1, (double) k.keep() / width);
            case InputSelection.ChannelThreshold _ -> {
                long kept = 0;
                int rows = operands.inRows(0);
                for (int row = 0; row < rows; row++) {
                    for (int j = 0; j < width; j++) {
                        float x = DType.F32.getFloat(operands.in(0), (long) row * width + j);
                        kept += !(Math.abs(x) <= DType.F32.getFloat(operands.in(2), j)) ? 1 : 0;
                    }
                }
                yield (double) kept / Math.max(1, (long) rows * width);
            }
        };
    }

    private interface Predicate {
        boolean keep(float value);
    }

    private static double share(MemorySegment values, Operands operands, int input, Predicate predicate) {
        long count = operands.inRows(input) * operands.input(input).shape().rowElements();
        long kept = 0;
        for (long i = 0; i < count; i++) {
            kept += predicate.keep(DType.F32.getFloat(values, i)) ? 1 : 0;
        }
        return (double) kept / Math.max(1, count);
    }
}
