package ai.winnow.kernel;

import ai.winnow.ir.Node;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * What the planner asks a backend for.
 *
 * @param inputs specs of the inputs, in order
 * @param weights for each input whether it is a weight: known at plan time, and free to lie as the kernel prefers
 * @param outputs specs of the outputs, in order
 */
public record KernelRequest(
        Op op, Site site, Phase phase, List<TensorSpec> inputs, List<Boolean> weights, List<TensorSpec> outputs) {

    public KernelRequest {
        inputs = List.copyOf(inputs);
        weights = List.copyOf(weights);
        outputs = List.copyOf(outputs);
    }

    public static KernelRequest of(Node node, Phase phase) {
        return new KernelRequest(
                node.op(),
                node.site(),
                phase,
                node.inputs().stream().map(Value::spec).toList(),
                node.inputs().stream()
                        .map(value -> value.origin() instanceof Value.Origin.Weight)
                        .toList(),
                node.outputs().stream().map(Value::spec).toList());
    }

    public TensorSpec input(int index) {
        return inputs.get(index);
    }

    public TensorSpec output(int index) {
        return outputs.get(index);
    }
}
