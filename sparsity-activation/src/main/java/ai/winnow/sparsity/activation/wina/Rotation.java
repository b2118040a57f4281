package ai.winnow.sparsity.activation.wina;

import ai.winnow.io.Artefact;
import ai.winnow.ir.Derivation;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.method.Calibration;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The residual stream in other bases (WINA, section 3.3): before each block in that of the right singular vectors of the block's
 * key or gate, in which the columns of this matrix are orthogonal. Gains of norms go into the matrices behind them; RMS norms
 * without gain commute with rotations, so the model computes the same. Unlike the authors' code this does not subtract the
 * embeddings' means, which an RMS norm would notice.
 */
final class Rotation {

    private static final String PREFIX = "wina/rotation/";
    private static final String BIAS = ".bias";

    private Rotation() {}

    /** The gain of a norm that has none. */
    private record Ones() implements Derivation {
        @Override
        public List<WeightRef> sources() {
            return List.of();
        }

        @Override
        public void compute(List<Tensor> sources, Tensor result) {
            for (long i = 0; i < result.shape().maxElements(); i++) {
                DType.F32.setFloat(result.segment(), i, 1);
            }
        }
    }

    static boolean isIn(Artefact artefact) {
        return artefact.tensors().keySet().stream().anyMatch(name -> name.startsWith(PREFIX));
    }

    /** The rotated weights, by name. */
    static Map<String, Tensor> compute(Calibration calibration) {
        ResidualStream stream = ResidualStream.of(calibration.graph(Phase.PREFILL));
        RotatedWeights weights = new RotatedWeights(calibration);
        List<ResidualStream.Block> blocks = stream.blocks();
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        Basis basis = basis(blocks.getFirst(), weights);
        tensors.put(name(stream.embedding()), weights.read(weight(stream.embedding()), null, basis));
        for (int i = 0; i < blocks.size(); i++) {
            ResidualStream.Block block = blocks.get(i);
            float[] gain = weights.vector(weight(block.norm()));
            for (Node reader : block.readers()) {
                tensors.put(
                        name(reader),
                        reader.equals(block.diagonal())
                                ? weights.diagonal(weight(reader), gain, basis)
                                : weights.read(weight(reader), gain, basis));
            }
            boolean last = i == blocks.size() - 1;
            Basis next = last ? basis : basis(blocks.get(i + 1), weights);
            Node writer = block.writer();
            tensors.put(name(writer), weights.write(weight(writer), next));
            if (hasBias(writer)) {
                tensors.put(name(writer) + BIAS, weights.write(ResidualStream.weight(writer, 2), next));
            }
            if (!last) {
                DType type = weight(writer).spec().dtype();
                tensors.put(name(block.residual()), weights.shortcut(basis, next, type));
            }
            basis = next;
            calibration.progress("rotating blocks", i + 1, blocks.size());
        }
        float[] gain = weights.vector(weight(stream.finalNorm()));
        tensors.put(name(stream.head()), weights.read(weight(stream.head()), gain, basis));
        return tensors;
    }

    private static Basis basis(ResidualStream.Block block, RotatedWeights weights) {
        float[] gain = weights.vector(weight(block.norm()));
        return Basis.rightSingular(weights.folded(weight(block.diagonal()), gain));
    }

    /** The graph that reads the rotated weights. */
    static Graph rewrite(Graph graph) {
        ResidualStream stream = ResidualStream.of(graph);
        Map<Node, Change> changes = new HashMap<>();
        changes.put(stream.embedding(), Rotation::withRotatedWeight);
        changes.put(stream.finalNorm(), Rotation::withoutGain);
        changes.put(stream.head(), Rotation::withRotatedWeight);
        for (ResidualStream.Block block : stream.blocks()) {
            changes.put(block.norm(), Rotation::withoutGain);
            block.readers().forEach(reader -> changes.put(reader, Rotation::withRotatedWeight));
            changes.put(block.writer(), Rotation::withRotatedWeightAndBias);
            if (!block.equals(stream.blocks().getLast())) {
                changes.put(block.residual(), (node, inputs, builder) -> withShortcut(block, inputs, builder));
            }
        }
        return graph.transform((node, inputs, builder) -> {
            Change change = changes.get(node);
            List<Value> operands = change == null ? inputs : change.operands(node, inputs, builder);
            return builder.add(node.op(), node.site(), operands);
        });
    }

    /** What becomes of a node's operands. */
    private interface Change {
        List<Value> operands(Node node, List<Value> inputs, GraphBuilder builder);
    }

    private static List<Value> withRotatedWeight(Node node, List<Value> inputs, GraphBuilder builder) {
        WeightRef rotated = WeightRef.artefact(name(node), weight(node).spec());
        return replaced(inputs, 1, builder.weight(rotated));
    }

    private static List<Value> withRotatedWeightAndBias(Node node, List<Value> inputs, GraphBuilder builder) {
        List<Value> operands = withRotatedWeight(node, inputs, builder);
        if (!hasBias(node)) {
            return operands;
        }
        TensorSpec spec = ResidualStream.weight(node, 2).spec();
        return replaced(operands, 2, builder.weight(WeightRef.artefact(name(node) + BIAS, spec)));
    }

    private static List<Value> withoutGain(Node node, List<Value> inputs, GraphBuilder builder) {
        return replaced(
                inputs, 1, builder.weight(WeightRef.derived("ones", weight(node).spec(), new Ones())));
    }

    /** The stream passes into the basis of the next block before the block's output, which is in that basis, is added. */
    private static List<Value> withShortcut(ResidualStream.Block block, List<Value> inputs, GraphBuilder builder) {
        Node residual = block.residual();
        Value skip = inputs.get(block.skipIndex());
        long width = skip.spec().shape().max(1);
        TensorSpec spec = TensorSpec.of(weight(block.writer()).spec().dtype(), width, width);
        Value shortcut = builder.weight(WeightRef.artefact(name(residual), spec));
        return replaced(inputs, block.skipIndex(), builder.add(new Linear(false), residual.site(), skip, shortcut));
    }

    private static List<Value> replaced(List<Value> inputs, int index, Value value) {
        List<Value> operands = new ArrayList<>(inputs);
        operands.set(index, value);
        return operands;
    }

    private static boolean hasBias(Node node) {
        return node.op() instanceof Linear(boolean bias) && bias;
    }

    private static WeightRef weight(Node node) {
        return ResidualStream.weight(node, 1);
    }

    private static String name(Node node) {
        return PREFIX + node.site().key();
    }
}
