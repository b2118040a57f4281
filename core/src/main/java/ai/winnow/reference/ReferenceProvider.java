package ai.winnow.reference;

import ai.winnow.ir.Fused;
import ai.winnow.ir.Op;
import ai.winnow.ir.Primitive;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The backend that defines the others: every primitive and every {@link Fused.Defined} op, in plain Java on one thread. Reads
 * everything row-major, int8 and int4 weights with their scales; allocates as it likes.
 */
public final class ReferenceProvider implements KernelProvider {

    @Override
    public String name() {
        return "reference";
    }

    @Override
    public int rank() {
        return 0;
    }

    @Override
    public Availability probe() {
        return new Availability.Ready("plain Java");
    }

    @Override
    public Support kernelFor(KernelRequest request) {
        Optional<TensorSpec> unreadable = Stream.concat(request.inputs().stream(), request.outputs().stream())
                .filter(spec -> !spec.dtype().readable())
                .findFirst();
        if (unreadable.isPresent()) {
            return new Support.Refused("elements of " + unreadable.get() + " cannot be computed with");
        }
        Op op = request.op();
        return switch (op) {
            case Primitive.MatMul product
            when request.weights().get(1) && request.input(1).dtype() == DType.I8 ->
                // A weight of int8 comes with the scales of its rows.
                new Support.Supported(
                        Map.of(1, List.of(new Layout.ScaledRows(Layout.Order.ROW_MAJOR))),
                        _ -> new ReferenceKernel("Reference" + product.name(), Product::matMul));
            case Primitive.MatMul product
            when request.weights().get(1) && request.input(1).dtype() == DType.I4 ->
                new Support.Supported(
                        Map.of(1, Layout.ScaledGroups.all(Layout.Order.ROW_MAJOR)),
                        _ -> new ReferenceKernel("Reference" + product.name(), Product::matMul));
            case Primitive primitive -> Support.of(new ReferenceKernel("Reference" + op.name(), of(primitive)));
            case Fused.Defined defined -> Support.of(new ReferenceKernel("Reference" + op.name(), defined::evaluate));
            case Fused.Composite composite ->
                new Support.Refused(composite.name() + " is decomposed: its meaning is a graph of simpler ops");
        };
    }

    private record ReferenceKernel(String name, Computation computation) implements Kernel {
        @Override
        public void run(Operands operands, Workspace workspace) {
            computation.run(operands);
        }
    }

    static Computation of(Primitive primitive) {
        return switch (primitive) {
            case Primitive.Unary op -> operands -> Elementwise.unary(op.function(), operands);
            case Primitive.Binary op -> operands -> Elementwise.binary(op.operator(), operands);
            case Primitive.Compare op -> operands -> Elementwise.compare(op.relation(), operands);
            case Primitive.Select _ -> Elementwise::select;
            case Primitive.Cast _ -> Elementwise::cast;
            case Primitive.Constant op -> operands -> Elementwise.constant(op.value(), operands);
            case Primitive.Iota _ -> Elementwise::iota;
            case Primitive.Reduce op -> operands -> Reductions.reduce(op.reduction(), op.axis(), operands);
            case Primitive.CumulativeSum _ -> Reductions::cumulativeSum;
            case Primitive.ArgMax _ -> Selection::argMax;
            case Primitive.TopKMask op -> operands -> Selection.topKMask(op.keep(), operands);
            case Primitive.MatMul _ -> Product::matMul;
            case Primitive.Reshape _ -> Movement::reshape;
            case Primitive.Transpose op -> operands -> Movement.transpose(op.axes(), operands);
            case Primitive.Slice op -> operands -> Movement.slice(op.axis(), op.from(), operands);
            case Primitive.Concat op -> operands -> Movement.concat(op.axis(), operands);
            case Primitive.Gather _ -> Movement::gather;
            case Primitive.ScatterAdd _ -> Movement::scatterAdd;
            case Primitive.Scatter _ -> Movement::scatter;
        };
    }
}
