package ai.winnow.runtime;

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
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** The steps of one phase with the memory of one session: made once, run without allocation. */
final class BoundGraph {

    private final Node[] nodes;
    private final Kernel[] kernels;
    private final Operands[] operands;
    private final List<Tensor> outputs;

    /**
     * @param inputs the tensor of each input, by name
     * @param memory at least the plan's activation bytes
     */
    BoundGraph(Plan.PhasePlan plan, Weights weights, Function<String, Tensor> inputs, MemorySegment memory) {
        Map<Integer, Tensor> tensors = new HashMap<>();
        Map<String, Tensor> extents = new HashMap<>();
        for (Value value : plan.graph().inputs()) {
            Tensor tensor = inputs.apply(value.name());
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
    }

    /** The tensors of the graph's outputs; what they hold is valid until the next run of any phase. */
    List<Tensor> outputs() {
        return outputs;
    }

    void run(Workspace workspace, @Nullable NodeObserver observer) {
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
