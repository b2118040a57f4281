package ai.winnow.runtime;

import ai.winnow.ShapeException;
import ai.winnow.ir.Node;
import ai.winnow.ir.Value;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Operands.Operand;
import ai.winnow.tensor.Storage;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The steps of one phase with the memory of one session: made once, run without allocation. */
final class BoundGraph {

    private final Node[] nodes;
    private final Kernel[] kernels;
    private final Operands[] operands;
    private final List<Tensor> outputs;
    private final Extent[] extents;

    /** How many rows there are now, and how many memory is laid out for. */
    private record Extent(String name, MemorySegment rows, long max) {}

    /**
     * @param inputs the tensor of each input, by name
     * @param memory at least the plan's activation bytes
     */
    BoundGraph(Plan.PhasePlan plan, Weights weights, Function<String, Tensor> inputs, MemorySegment memory) {
        Map<Integer, Tensor> tensors = new HashMap<>();
        Map<String, Tensor> extents = new HashMap<>();
        for (Value value : plan.graph().inputs()) {
            Tensor tensor = inputs.apply(value.name());
            requireFits(value, tensor);
            tensors.put(value.id(), tensor);
            extents.put(value.name(), tensor);
        }
        for (Node node : plan.graph().nodes()) {
            for (Value value : node.outputs()) {
                MemorySegment segment =
                        memory.asSlice(plan.offset(value), value.spec().maxBytes());
                Tensor tensor = new Tensor(value.spec(), Layout.ROW_MAJOR, new Storage.HostMemory(segment));
                tensors.put(value.id(), tensor);
            }
        }
        int count = plan.steps().size();
        this.nodes = new Node[count];
        this.kernels = new Kernel[count];
        this.operands = new Operands[count];
        for (int i = 0; i < count; i++) {
            Plan.Step step = plan.steps().get(i);
            List<Operand> in = new ArrayList<>();
            for (int j = 0; j < step.node().inputs().size(); j++) {
                Value value = step.node().input(j);
                Tensor tensor = value.origin() instanceof Value.Origin.Weight weight
                        ? weights.get(weight.ref(), step.layouts().get(j))
                        : required(tensors, value);
                in.add(new Operand(tensor, extent(value, extents)));
            }
            List<Operand> out = step.node().outputs().stream()
                    .map(value -> new Operand(required(tensors, value), extent(value, extents)))
                    .toList();
            nodes[i] = step.node();
            kernels[i] = step.kernel();
            operands[i] = new Operands(in, out);
        }
        this.outputs = plan.graph().outputs().stream()
                .map(value -> required(tensors, value))
                .toList();
        this.extents = extents(plan, extents);
    }

    /** Kernels read through addresses: what is not as the graph says would be read, or written, beyond its end. */
    private static void requireFits(Value value, Tensor tensor) {
        TensorSpec spec = value.spec();
        boolean unbounded = spec.shape().rowDim() instanceof Dim.AtMost rows && rows.max() == Integer.MAX_VALUE;
        if (tensor.dtype() != spec.dtype()
                || !tensor.layout().equals(Layout.ROW_MAJOR)
                || tensor.shape().rowElements() != spec.shape().rowElements()
                || (!unbounded && tensor.segment().byteSize() < spec.maxBytes())) {
            throw new ShapeException("input " + value.name() + " must be " + spec + ", row-major, got " + tensor.spec()
                    + " " + tensor.layout() + " of " + tensor.segment().byteSize() + " bytes");
        }
    }

    /** Each extent that is an input, with the least maximum of all axes that follow it. */
    private static Extent[] extents(Plan.PhasePlan plan, Map<String, Tensor> inputs) {
        Map<String, Long> least = new TreeMap<>();
        Stream.concat(
                        plan.graph().inputs().stream(),
                        plan.graph().nodes().stream().flatMap(node -> node.outputs().stream()))
                .forEach(value -> {
                    if (value.spec().shape().rowDim() instanceof Dim.AtMost(long max, String name)
                            && inputs.containsKey(name)) {
                        least.merge(name, max, Math::min);
                    }
                });
        return least.entrySet().stream()
                .map(each -> new Extent(
                        each.getKey(), required(inputs, each.getKey()).segment(), each.getValue()))
                .toArray(Extent[]::new);
    }

    /** The tensors of the graph's outputs; what they hold is valid until the next run of any phase. */
    List<Tensor> outputs() {
        return outputs;
    }

    void run(Workspace workspace, @Nullable NodeObserver observer) {
        for (Extent extent : extents) {
            int rows = extent.rows.get(ValueLayout.JAVA_INT, 0);
            if (rows < 0 || rows > extent.max) {
                throw new ShapeException(
                        "there cannot be " + rows + " " + extent.name + ", memory is laid out for " + extent.max);
            }
        }
        for (int i = 0; i < kernels.length; i++) {
            kernels[i].run(operands[i], workspace);
            if (observer != null) {
                observer.after(nodes[i], operands[i]);
            }
        }
    }

    private static @Nullable MemorySegment extent(Value value, Map<String, Tensor> extents) {
        if (value.spec().shape().rowDim() instanceof Dim.AtMost rows && extents.containsKey(rows.extent())) {
            return required(extents, rows.extent()).segment();
        }
        return null;
    }

    private static Tensor required(Map<Integer, Tensor> tensors, Value value) {
        Tensor tensor = tensors.get(value.id());
        if (tensor == null) {
            throw new IllegalStateException(value + " has no memory");
        }
        return tensor;
    }

    private static Tensor required(Map<String, Tensor> extents, String name) {
        Tensor tensor = extents.get(name);
        if (tensor == null) {
            throw new IllegalStateException("no value is named " + name);
        }
        return tensor;
    }
}
