package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import java.util.Optional;

/**
 * {@link Attention} over a cache in which pages of older rows are packed. Inputs: those of {@link Attention}, then the pool of packed pages {@code I8
 * [pages, bytes]}, see {@link PackedFormat}; output {@code F32 [rows, queryHeads * headDim]}. An entry of the page table that is negative is the
 * complement of a number in that pool. One softmax goes over all rows, and what was pruned counts as the zero that it has become. Without packed pages it is
 * {@link Attention}.
 *
 * <p>That a graph has this op is how it asks its session for a cache that packs.
 */
public record PackedAttention(Attention attention, KvPacking packing) implements Fused.Defined {

    /** Which input the pool of packed pages is. */
    public static final int PACKED = 8;

    public PackedAttention {
        new PackedFormat(attention.shape(), packing); // refuses what cannot be packed
    }

    public PackedFormat format() {
        return new PackedFormat(attention.shape(), packing);
    }

    @Override
    public String name() {
        return "Packed" + attention.name();
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, PACKED + 1);
        TensorSpec pool = inputs.get(PACKED);
        Inference.require(
                pool.dtype() == DType.I8 && pool.shape().rowElements() == format().bytes(),
                () -> name() + ": input " + PACKED + " must be packed pages " + format().spec() + ", got " + pool);
        return attention.infer(inputs.subList(0, PACKED));
    }

    @Override
    public void evaluate(Operands operands) {
        ExactAttention exact = new ExactAttention(attention, operands, 1, format(), PACKED);
        for (int row = 0; row < operands.inRows(0); row++) {
            for (int head = 0; head < attention.queryHeads(); head++) {
                exact.attend(row, head, key -> true);
            }
        }
    }

    /**
     * How a graph wants its cache to be packed, if at all.
     *
     * @throws ai.winnow.ShapeException if its ops of attention do not agree: one that does not know packed pages could not read them
     */
    public static Optional<KvPacking> of(Graph graph) {
        List<Op> ops = graph.at(Role.ATTENTION).stream().map(Node::op).toList();
        Optional<KvPacking> packing = ops.stream()
                .filter(PackedAttention.class::isInstance)
                .map(op -> ((PackedAttention) op).packing())
                .findFirst();
        packing.ifPresent(wanted -> ops.forEach(op -> Inference.require(
                op instanceof PackedAttention(Attention _, KvPacking other) && other.equals(wanted),
                () -> op.name() + " cannot read a cache that is packed as " + wanted)));
        return packing;
    }
}
