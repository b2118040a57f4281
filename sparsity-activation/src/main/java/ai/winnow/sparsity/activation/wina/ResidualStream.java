package ai.winnow.sparsity.activation.wina;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.ir.Embedding;
import ai.winnow.ir.Graph;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Primitive.Gather;
import ai.winnow.ir.RmsNorm;
import ai.winnow.ir.Role;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import java.util.ArrayList;
import java.util.List;

/**
 * The residual stream of a decoder from its embedding to its head: every node that reads or writes it. Whoever changes its basis
 * must have found them all, so anything unknown is refused.
 */
record ResidualStream(Node embedding, List<Block> blocks, Node finalNorm, Node head) {

    /**
     * One addition to the stream.
     *
     * @param norm what the block reads the stream through
     * @param readers the linear layers that read the norm
     * @param writer the linear layer whose output is added
     * @param residual the addition
     */
    record Block(Node norm, List<Node> readers, Node writer, Node residual) {

        /** The reader whose matrix the block's basis makes orthogonal: key, or gate. */
        Node diagonal() {
            return readers.stream()
                    .filter(node ->
                            node.site().role() == Role.KEY || node.site().role() == Role.GATE)
                    .findFirst()
                    .orElseThrow(() -> refused("reads the stream without a key or gate", norm));
        }

        /** Which operand of the addition is the stream itself. */
        int skipIndex() {
            return residual.input(0).equals(writer.output()) ? 1 : 0;
        }
    }

    static ResidualStream of(Graph graph) {
        List<Node> starts = graph.at(Role.TOKEN_EMBED);
        if (starts.size() != 1 || !(starts.getFirst().op() instanceof Embedding)) {
            throw new IncompatiblePolicyException(
                    "wina: only a model with one token embedding can be rotated; use rotate=false");
        }
        List<Block> blocks = new ArrayList<>();
        Value stream = starts.getFirst().output();
        while (true) {
            List<Node> readers = readers(graph, stream);
            if (readers.size() == 1 && readers.getFirst().op() instanceof Gather select) {
                Node norm = only(graph, readers.getFirst().output(), select.name());
                return new ResidualStream(starts.getFirst(), blocks, requireNorm(norm), head(graph, norm));
            }
            Block block = block(graph, stream, readers);
            blocks.add(block);
            stream = block.residual().output();
        }
    }

    private static Block block(Graph graph, Value stream, List<Node> readers) {
        if (readers.size() != 2) {
            throw new IncompatiblePolicyException("wina: the residual stream " + stream + " is read by " + readers
                    + ", expected a norm and an addition; use rotate=false");
        }
        Node norm = requireNorm(readers.getFirst());
        Node residual = readers.getLast();
        if (!(residual.op() instanceof Binary(Binary.Operator operator)) || operator != Binary.Operator.ADD) {
            throw refused("reads the residual stream", residual);
        }
        List<Node> inside = readers(graph, norm.output());
        inside.forEach(ResidualStream::requireLinear);
        Value added = residual.input(0).equals(stream) ? residual.input(1) : residual.input(0);
        Node writer = graph.nodes().stream()
                .filter(node -> node.outputs().contains(added))
                .findFirst()
                .orElseThrow(() -> refused("adds a value that no node makes", residual));
        return new Block(norm, inside, requireLinear(writer), residual);
    }

    private static Node head(Graph graph, Node norm) {
        return requireLinear(only(graph, norm.output(), norm.toString()));
    }

    private static List<Node> readers(Graph graph, Value value) {
        return graph.nodes().stream()
                .filter(node -> node.inputs().contains(value))
                .toList();
    }

    private static Node only(Graph graph, Value value, String maker) {
        List<Node> readers = readers(graph, value);
        if (readers.size() != 1) {
            throw new IncompatiblePolicyException(
                    "wina: " + maker + " is read by " + readers + ", expected one node; use rotate=false");
        }
        return readers.getFirst();
    }

    /** A norm over whole rows without a mean: all that commutes with a rotation. */
    private static Node requireNorm(Node node) {
        if (node.op() instanceof RmsNorm norm
                && norm.width() == node.input(0).spec().shape().max(1)) {
            return node;
        }
        throw refused("reads the residual stream where an RMS norm is expected", node);
    }

    private static Node requireLinear(Node node) {
        if (node.op() instanceof Linear && node.input(1).origin() instanceof Value.Origin.Weight) {
            return node;
        }
        throw refused("stands where a linear layer is expected", node);
    }

    private static IncompatiblePolicyException refused(String why, Node node) {
        return new IncompatiblePolicyException(
                "wina: the weights of this model cannot be rotated, for " + node + " " + why + "; use rotate=false");
    }

    /** The weight that {@code node} reads as input {@code index}. */
    static WeightRef weight(Node node, int index) {
        if (node.input(index).origin() instanceof Value.Origin.Weight(WeightRef ref)) {
            return ref;
        }
        throw refused("computes its weight", node);
    }
}
