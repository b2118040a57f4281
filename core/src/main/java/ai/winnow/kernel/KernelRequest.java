package ai.winnow.kernel;

import ai.winnow.ir.Node;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.ir.WeightStructure;
import ai.winnow.tensor.TensorSpec;
import java.util.Collections;
import java.util.List;

/**
 * What the planner asks a backend for.
 *
 * @param inputs specs of the inputs, in order
 * @param weights for each input whether it is a weight: known at plan time, and free to lie as the kernel prefers
 * @param outputs specs of the outputs, in order
 * @param structures for each input what is known of its zeros
 */
public record KernelRequest(
        Op op,
        Site site,
        Phase phase,
        List<TensorSpec> inputs,
        List<Boolean> weights,
        List<TensorSpec> outputs,
        List<WeightStructure> structures) {

    public KernelRequest {
        inputs = List.copyOf(inputs);
        weights = List.copyOf(weights);
        outputs = List.copyOf(outputs);
        structures = List.copyOf(structures);
    }

    /** A request in which nothing is known of the weights' zeros. */
    public KernelRequest(
            Op op, Site site, Phase phase, List<TensorSpec> inputs, List<Boolean> weights, List<TensorSpec> outputs) {
        this(op, site, phase, inputs, weights, outputs, Collections.nCopies(inputs.size(), WeightStructure.dense()));
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
                node.outputs().stream().map(Value::spec).toList(),
                node.inputs().stream().map(KernelRequest::structure).toList());
    }

    private static WeightStructure structure(Value value) {
        return value.origin() instanceof Value.Origin.Weight(WeightRef ref) ? ref.structure() : WeightStructure.dense();
    }

    public TensorSpec input(int index) {
        return inputs.get(index);
    }

    public TensorSpec output(int index) {
        return outputs.get(index);
    }

    /** What is known of the zeros of input {@code index}. */
    public WeightStructure structure(int index) {
        return structures.get(index);
    }
}
