package ai.winnow.ir;

import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * {@link Attention} in which a row sees only the keys of its tile's lists. Inputs: {@code query F32 [rows, queryHeads * headDim]}, the
 * three tensors of {@link KeyLists}, then {@code sequence, indptr, slots} of {@link StandardInputs} and the operands of {@link
 * StandardInputs.Kv}; output {@code F32 [rows, queryHeads * headDim]}. The softmax is over the keys a row sees; a row that sees none gets
 * zeros. If the lists name all keys it is {@link Attention}.
 */
public record SparseAttention(Attention attention, KeyLists keys) implements Fused.Defined {

    /** Which input {@code sequence} is. */
    public static final int CACHE = 1 + KeyLists.TENSORS;

    public SparseAttention {
        int queryHeads = attention.queryHeads();
        int lists = keys.lists();
        Inference.require(
                attention.shape().equals(keys.shape()) && (lists == keys.shape().heads() || lists == queryHeads),
                () -> lists + " lists a tile of " + keys.shape() + " are neither one a key-value head nor one a query"
                        + " head of " + queryHeads + " over " + attention.shape());
    }

    /** Query heads that share a list. */
    public int group() {
        return attention.queryHeads() / keys.lists();
    }

    @Override
    public String name() {
        return "Sparse" + attention.name() + (keys.tileRows() > 1 ? " a tile of " + keys.tileRows() + " rows" : "");
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, CACHE + 7);
        Inference.requireRows(
                this, inputs, 0, (long) attention.queryHeads() * keys.shape().headDim());
        Inference.requireCache(this, inputs, CACHE, keys.shape());
        keys.require(this, inputs, 1, inputs.get(CACHE), inputs.get(CACHE + 1));
        return List.of(inputs.getFirst());
    }

    @Override
    public void evaluate(Operands operands) {
        ExactAttention exact = new ExactAttention(attention, operands, CACHE);
        MemorySegment indptr = operands.in(CACHE + 1);
        keys.forEachTile(indptr, operands.inRows(0), (tile, sequence, from, to) -> {
            List<boolean[]> named = new ArrayList<>();
            for (int list = 0; list < keys.lists(); list++) {
                named.add(keys.named(operands, 1, tile, list));
            }
            for (int row = from; row < to; row++) {
                for (int head = 0; head < attention.queryHeads(); head++) {
                    boolean[] seen = named.get(head / group());
                    exact.attend(row, head, key -> seen[key]);
                }
            }
        });
    }
}
