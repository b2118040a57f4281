package ai.winnow.kernels.simd;

import ai.winnow.ir.Activation;
import ai.winnow.ir.AttendedKeys;
import ai.winnow.ir.Attention;
import ai.winnow.ir.CosineReduce;
import ai.winnow.ir.Embedding;
import ai.winnow.ir.KeyMeans;
import ai.winnow.ir.KvAppend;
import ai.winnow.ir.KvPlaneAppend;
import ai.winnow.ir.LayerNorm;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Gather;
import ai.winnow.ir.Primitive.Scatter;
import ai.winnow.ir.Primitive.ScatterAdd;
import ai.winnow.ir.RmsNorm;
import ai.winnow.ir.Rotary;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.ScoredAttention;
import ai.winnow.ir.SelectChannels;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.Softmax;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.SparseLinear;
import ai.winnow.ir.StatisticalTopK;
import ai.winnow.ir.ThresholdSelect;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Which kernel takes which op, and why one is refused. */
final class Offers {

    private static final int WEIGHT = 1;

    private Offers() {}

    static Support of(KernelRequest request) {
        return switch (request.op()) {
            case Linear op -> linear(request, op);
            case SparseLinear op -> sparseLinear(request, op);
            case MaskedLinear op -> maskedLinear(request, op);
            case Attention op -> Support.of(new AttentionKernel(op, maxRows(request)));
            case PackedAttention op -> Support.of(new AttentionKernel(op, maxRows(request)));
            case SparseAttention op -> Support.of(new SparseAttentionKernel(op, maxRows(request)));
            case ScoredAttention op -> Support.of(new ScoredAttentionKernel(op));
            case AttendedKeys op -> Support.of(new AttendedKeysKernel(op));
            case SelectKeys op -> Support.of(new SelectKeysKernel(op));
            case ScoreKeys op -> Support.of(new ScoreKeysKernel(op));
            case SelectChannels op -> Support.of(new SelectChannelsKernel(op));
            case KvAppend op -> Support.of(new KvAppendKernel(op));
            case KvPlaneAppend op -> Support.of(new KvPlaneAppendKernel(op));
            case KeyMeans op -> Support.of(new KeyMeansKernel(op));
            case RmsNorm op -> Support.of(new RmsNormKernel(op, width(request) / op.width()));
            case LayerNorm op -> Support.of(new LayerNormKernel(op));
            case Softmax _ -> Support.of(new SoftmaxKernel(width(request)));
            case Rotary op -> rotary(request, op);
            case Activation op -> activation(request, op);
            case StatisticalTopK op -> Support.of(new StatisticalTopKKernel(op));
            case ThresholdSelect op -> thresholdSelect(request, op);
            case Embedding _ -> embedding(request);
            case Gather _ ->
                Support.of(new GatherKernel(request.output(0).dtype().bytes(rowElements(request))));
            case Scatter _ -> scatter(request, false);
            case ScatterAdd _ -> scatter(request, true);
            case CosineReduce op -> cosineReduce(request, op);
            case Binary op -> binary(request, op);
            default -> refused("there is no SIMD kernel for " + request.op().name());
        };
    }

    private static Support linear(KernelRequest request, Linear op) {
        if (!isF32(request.input(0))) {
            return refused("the input of a linear layer must be F32, this is "
                    + request.input(0).dtype());
        }
        if (!isReadable(request)) {
            return unreadable(request);
        }
        return new Support.Supported(
                Map.of(WEIGHT, layouts(request)),
                layouts -> layouts.get(WEIGHT) instanceof Layout.Sparse sparse
                        ? new SparseWeightKernel(
                                StoredSparse.of(request.input(WEIGHT), sparse), op.bias(), maxRows(request))
                        : new LinearKernel(weight(request, layouts), op.bias(), maxRows(request)),
                SparseChoice.of(request.input(WEIGHT), request.structure(WEIGHT))
                        .note());
    }

    private static Support sparseLinear(KernelRequest request, SparseLinear op) {
        if (!isF32(request.input(0))) {
            return refused("the input of a linear layer must be F32, this is "
                    + request.input(0).dtype());
        }
        if (!isReadable(request)) {
            return unreadable(request);
        }
        if (!request.weights().get(WEIGHT)) {
            return refused("inputs are only skipped in a weight, which can lie column-major; this one is computed");
        }
        return new Support.Supported(
                Map.of(WEIGHT, layouts(request, Order.COLUMN_MAJOR)),
                layouts ->
                        new SparseLinearKernel(weight(request, layouts), op.selection(), op.bias(), maxRows(request)));
    }

    private static int maxRows(KernelRequest request) {
        return Math.toIntExact(request.input(0).shape().rowDim().max());
    }

    private static Support maskedLinear(KernelRequest request, MaskedLinear op) {
        if (!isF32(request.input(0))) {
            return refused("the input of a linear layer must be F32, this is "
                    + request.input(0).dtype());
        }
        if (!isReadable(request)) {
            return unreadable(request);
        }
        return new Support.Supported(
                Map.of(WEIGHT, layouts(request, Order.ROW_MAJOR)),
                layouts -> new MaskedLinearKernel(weight(request, layouts), op.bias(), maxRows(request)));
    }

    private static Support rotary(KernelRequest request, Rotary op) {
        if (!isF32(request.input(1))) {
            return refused("the tables of angles must be F32, these are "
                    + request.input(1).dtype());
        }
        return Support.of(new RotaryKernel(op, width(request) / op.headDim()));
    }

    private static Support activation(KernelRequest request, Activation op) {
        if (!isF32(request.input(0))) {
            return refused("activations are computed in F32, this is "
                    + request.input(0).dtype());
        }
        return Support.of(new ActivationKernel(op.kind(), rowElements(request)));
    }

    private static Support thresholdSelect(KernelRequest request, ThresholdSelect op) {
        if (!isF32(request.input(0))) {
            return refused("thresholds are compared in F32, this is "
                    + request.input(0).dtype());
        }
        return Support.of(new ThresholdSelectKernel(op.threshold(), rowElements(request)));
    }

    private static Support embedding(KernelRequest request) {
        if (!isReadable(request)) {
            return unreadable(request);
        }
        TensorSpec table = request.input(WEIGHT);
        return new Support.Supported(
                Map.of(WEIGHT, layouts(request, Order.ROW_MAJOR)),
                layouts -> new EmbeddingKernel(StoredWeight.of(table, layouts.get(WEIGHT))));
    }

    private static Support scatter(KernelRequest request, boolean add) {
        if (!isF32(request.input(0)) || !isF32(request.input(2))) {
            return refused("rows are put back in F32, these are "
                    + request.input(0).dtype() + " and " + request.input(2).dtype());
        }
        return Support.of(new ScatterKernel(add, width(request)));
    }

    private static Support cosineReduce(KernelRequest request, CosineReduce op) {
        long others = request.input(op.others() ? 0 : 1).shape().rowDim().max();
        int width = Math.toIntExact(request.input(0).shape().max(1));
        return Support.of(new CosineReduceKernel(op, width, maxRows(request), Math.toIntExact(others)));
    }

    private static Support binary(KernelRequest request, Binary op) {
        if (op.operator() != Binary.Operator.ADD && op.operator() != Binary.Operator.MUL) {
            return refused("of the elementwise operators there are only ADD and MUL, this is " + op.operator());
        }
        TensorSpec left = request.input(0);
        TensorSpec right = request.input(1);
        if (!isF32(left)) {
            return refused("elements are computed with in F32, these are " + left.dtype());
        }
        boolean oneRow = !right.shape().equals(left.shape())
                && right.shape().maxElements() == left.shape().max(-1)
                && left.shape().rank() == 2;
        if (!request.output(0).shape().equals(left.shape())
                || (!oneRow && !right.shape().equals(left.shape()))) {
            return refused("operands must have one shape, or the second be one row of the first; these are "
                    + left.shape() + " and " + right.shape());
        }
        return Support.of(new BinaryKernel(op.operator() == Binary.Operator.ADD, rowElements(request), oneRow));
    }

    /** I8 and I4 have scales only where the planner may pack it. */
    private static boolean isReadable(KernelRequest request) {
        DType type = request.input(WEIGHT).dtype();
        return type == DType.F32
                || type == DType.BF16
                || type == DType.F16
                || ((type == DType.I8 || type == DType.I4) && request.weights().get(WEIGHT));
    }

    private static Support unreadable(KernelRequest request) {
        return refused("weights are read as F32, BF16, F16 or packed I8 or I4, this is "
                + (request.weights().get(WEIGHT) ? "" : "computed ")
                + request.input(WEIGHT).dtype());
    }

    private static List<Layout> layouts(KernelRequest request) {
        if (!request.weights().get(WEIGHT)) {
            return List.of(Layout.ROW_MAJOR);
        }
        List<Layout> dense = orders(request)
                .flatMap(order -> layouts(request, order).stream())
                .toList();
        return SparseChoice.of(request.input(WEIGHT), request.structure(WEIGHT)).order(dense);
    }

    /** The faster first: only of I4 it is row-major. */
    private static Stream<Order> orders(KernelRequest request) {
        return request.input(WEIGHT).dtype() == DType.I4
                ? Stream.of(Order.ROW_MAJOR, Order.COLUMN_MAJOR)
                : Stream.of(Order.COLUMN_MAJOR, Order.ROW_MAJOR);
    }

    private static List<Layout> layouts(KernelRequest request, Order order) {
        return switch (request.input(WEIGHT).dtype()) {
            case I8 -> List.of(new Layout.ScaledRows(order));
            case I4 -> Layout.ScaledGroups.all(order);
            default -> List.of(new Layout.Dense(order));
        };
    }

    private static StoredWeight weight(KernelRequest request, List<Layout> layouts) {
        return StoredWeight.of(request.input(WEIGHT), layouts.get(WEIGHT));
    }

    private static boolean isF32(TensorSpec spec) {
        return spec.dtype() == DType.F32;
    }

    /** Elements of a row of the output. */
    private static long rowElements(KernelRequest request) {
        return request.output(0).shape().rowElements();
    }

    private static int width(KernelRequest request) {
        return Math.toIntExact(rowElements(request));
    }

    private static Support refused(String reason) {
        return new Support.Refused(reason);
    }
}
