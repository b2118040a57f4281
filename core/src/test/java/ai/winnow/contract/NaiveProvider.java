package ai.winnow.contract;

import ai.winnow.ir.Fused;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.SparseLinear;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workspace;
import ai.winnow.reference.Interpreter;
import ai.winnow.reference.ReferenceProvider;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Every op: linear layers as f32 loops over weights in every layout, other composite ops through the interpreter, the rest by the
 * reference.
 */
final class NaiveProvider implements KernelProvider {

    @Override
    public String name() {
        return "naive";
    }

    @Override
    public int rank() {
        return 1;
    }

    @Override
    public Availability probe() {
        return new Availability.Ready("plain Java");
    }

    @Override
    public Support kernelFor(KernelRequest request) {
        DType type = request.inputs().size() > 1 ? request.input(1).dtype() : DType.F32;
        boolean scaled = type == DType.I8 || type == DType.I4;
        List<Layout> layouts =
                switch (type) {
                    case I8 ->
                        List.of(
                                new Layout.ScaledRows(Layout.Order.ROW_MAJOR),
                                new Layout.ScaledRows(Layout.Order.COLUMN_MAJOR));
                    case I4 ->
                        Stream.of(Layout.Order.values())
                                .flatMap(order -> Layout.ScaledGroups.all(order).stream())
                                .toList();
                    default -> List.of(Layout.COLUMN_MAJOR, Layout.ROW_MAJOR);
                };
        return switch (request.op()) {
            case Linear op ->
                new Support.Supported(Map.of(1, all(layouts, request)), fixed -> new NaiveLinear(op, op.bias()));
            case SparseLinear op -> new Support.Supported(Map.of(1, layouts), fixed -> new NaiveLinear(op, op.bias()));
            case MaskedLinear op -> new Support.Supported(Map.of(1, layouts), fixed -> new NaiveLinear(op, op.bias()));
            case Fused.Composite op ->
                scaled
                        ? new Support.Supported(Map.of(1, layouts), fixed -> new Decomposed(op))
                        : Support.of(new Decomposed(op));
            default -> new ReferenceProvider().kernelFor(request);
        };
    }

    private static List<Layout> all(List<Layout> dense, KernelRequest request) {
        List<Layout> all = new ArrayList<>(dense);
        all.addAll(request.structure(1).layouts(request.input(1)));
        return all;
    }

    /** A tensor of the rows that there are now, with the numbers that its bytes mean. */
    private static Tensor now(Tensor tensor, int rows, Arena arena) {
        Tensor copy = Tensor.allocate(
                arena,
                PackedWeight.withRows(
                        tensor.layout() instanceof Layout.Dense
                                ? tensor.spec()
                                : tensor.spec().withDType(DType.F32),
                        rows),
                Layout.ROW_MAJOR);
        long width = tensor.shape().rowElements();
        for (long i = 0; i < copy.shape().maxElements(); i++) {
            copy.dtype().setFloat(copy.segment(), i, element(tensor, i / width, i % width));
        }
        return copy;
    }

    /** The number that a weight in any layout has at {@code row} and {@code column}. */
    private static float element(Tensor tensor, long row, long column) {
        MemorySegment segment = tensor.segment();
        long columns = tensor.shape().rowElements();
        long down = column * tensor.shape().rowDim().max() + row;
        long across = row * columns + column;
        return switch (tensor.layout()) {
            case Layout.Dense dense ->
                tensor.dtype().getFloat(segment, dense.order() == Layout.Order.ROW_MAJOR ? across : down);
            case Layout.ScaledRows scaled -> {
                long place = scaled.order() == Layout.Order.ROW_MAJOR ? across : down;
                MemorySegment scales = segment.asSlice(Layout.ScaledRows.scalesOffset(tensor.spec()));
                yield DType.I8.getFloat(segment, place) * DType.F32.getFloat(scales, row);
            }
            case Layout.ScaledGroups groups -> {
                MemorySegment scale = segment.asSlice(groups.scaleAt(tensor.spec(), row, column));
                yield DType.I4.getFloat(segment, groups.index(tensor.spec(), row, column))
                        * DType.F32.getFloat(scale, 0);
            }
            case Layout.Sparse _ -> throw new IllegalArgumentException("decompressed before: " + tensor.layout());
        };
    }

    private record Decomposed(Fused.Composite op) implements Kernel {
        @Override
        public String name() {
            return "Decomposed" + op.name();
        }

        @Override
        public void run(Operands operands, Workspace workspace) {
            try (Arena arena = Arena.ofConfined()) {
                List<Tensor> inputs = IntStream.range(0, operands.inputCount())
                        .mapToObj(i -> now(operands.input(i), operands.inRows(i), arena))
                        .toList();
                List<Tensor> made = Interpreter.evaluate(op, inputs, arena);
                for (int i = 0; i < made.size(); i++) {
                    MemorySegment.copy(
                            made.get(i).segment(),
                            0,
                            operands.out(i),
                            0,
                            made.get(i).spec().maxBytes());
                }
            }
        }
    }

    /** {@code x [rows, in], weight [out, in] -> [rows, out]}: one f32 chain an output. */
    private record NaiveLinear(Fused op, boolean bias) implements Kernel {
        @Override
        public String name() {
            return "Naive" + op.name();
        }

        @Override
        public void run(Operands operands, Workspace workspace) {
            try (Arena arena = Arena.ofConfined()) {
                run(
                        operands,
                        operands.input(1).layout() instanceof Layout.Sparse sparse
                                ? sparse.decompress(operands.input(1), arena)
                                : operands.input(1));
            }
        }

        private void run(Operands operands, Tensor weight) {
            int rows = operands.inRows(0);
            int in = Math.toIntExact(weight.shape().max(1));
            int out = Math.toIntExact(weight.shape().max(0));
            float[] x = operands.input(0).toFloats();
            int[][] kept = new int[rows][];
            Arrays.setAll(kept, row -> kept(Arrays.copyOfRange(x, row * in, (row + 1) * in), operands));
            float[] weights = new float[in];
            for (int o = 0; o < out; o++) {
                for (int i = 0; i < in; i++) {
                    weights[i] = element(weight, o, i);
                }
                for (int row = 0; row < rows; row++) {
                    float sum = 0;
                    if (!(op instanceof MaskedLinear) || operands.input(2).getFloat((long) row * out + o) != 0) {
                        for (int i : kept[row]) {
                            sum = Math.fma(x[row * in + i], weights[i], sum);
                        }
                        sum += bias ? operands.input(operands.inputCount() - 1).getFloat(o) : 0;
                    }
                    DType.F32.setFloat(operands.out(0), (long) row * out + o, sum);
                }
            }
        }

        /** The inputs of one row that are read, ascending. */
        private int[] kept(float[] x, Operands operands) {
            IntStream all = IntStream.range(0, x.length);
            if (op instanceof SparseLinear sparse) {
                return switch (sparse.selection()) {
                    case InputSelection.Threshold selection ->
                        all.filter(i -> !(Math.abs(x[i]) <= selection.threshold()))
                                .toArray();
                    case InputSelection.ChannelThreshold _ ->
                        all.filter(i -> !(Math.abs(x[i]) <= operands.input(2).getFloat(i)))
                                .toArray();
                    case InputSelection.TopK selection -> greatest(all, selection.keep(), i -> Math.abs(x[i]));
                    case InputSelection.WeightedTopK selection ->
                        greatest(
                                all,
                                selection.keep(),
                                i -> Math.abs(x[i]) * operands.input(2).getFloat(i));
                };
            }
            return all.toArray();
        }

        private interface Score {
            float of(int index);
        }

        /** {@code Float.compare} has NaN above everything, and the sort is stable. */
        private static int[] greatest(IntStream all, int keep, Score score) {
            return all.boxed()
                    .sorted((a, b) -> Float.compare(score.of(b), score.of(a)))
                    .limit(keep)
                    .mapToInt(Integer::intValue)
                    .sorted()
                    .toArray();
        }
    }
}
