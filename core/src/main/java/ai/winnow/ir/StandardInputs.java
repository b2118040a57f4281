package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * The inputs every graph has. Rows are tokens: the sequences of a step lie one after the other, {@code indptr} says where each
 * begins, so a batch of ragged sequences is the normal case and one sequence is a batch of one.
 *
 * @param tokens I32 [1]: rows of this step; the extent {@value #TOKENS}
 * @param sequences I32 [1]: sequences of this step; the extent {@value #SEQUENCES}
 * @param outputs I32 [1]: rows whose logits are asked for; the extent {@value #OUTPUTS}
 * @param ids I32 [tokens]: token ids
 * @param positions I32 [tokens]: position of each row in its sequence
 * @param sequence I32 [tokens]: which sequence of this step a row belongs to
 * @param indptr I32 [maxSequences + 1]: sequence {@code s} has the rows {@code indptr[s]} to {@code indptr[s + 1]}
 * @param slots I32 [sequences]: the cache slot of each sequence
 * @param outputRows I32 [outputs]: the rows whose logits are asked for, ascending
 */
public record StandardInputs(
        Value tokens,
        Value sequences,
        Value outputs,
        Value ids,
        Value positions,
        Value sequence,
        Value indptr,
        Value slots,
        Value outputRows) {

    public static final String TOKENS = "tokens";
    public static final String SEQUENCES = "sequences";
    public static final String OUTPUTS = "outputs";

    public static StandardInputs declare(GraphBuilder builder, StepLimits limits) {
        Dim tokens = new Dim.AtMost(limits.maxTokens(), TOKENS);
        Dim sequences = new Dim.AtMost(limits.maxSequences(), SEQUENCES);
        Dim outputs = new Dim.AtMost(limits.maxOutputs(), OUTPUTS);
        return new StandardInputs(
                builder.input(TOKENS, TensorSpec.of(DType.I32, 1)),
                builder.input(SEQUENCES, TensorSpec.of(DType.I32, 1)),
                builder.input(OUTPUTS, TensorSpec.of(DType.I32, 1)),
                builder.input("ids", TensorSpec.rows(DType.I32, tokens)),
                builder.input("positions", TensorSpec.rows(DType.I32, tokens)),
                builder.input("sequence", TensorSpec.rows(DType.I32, tokens)),
                builder.input("indptr", TensorSpec.of(DType.I32, limits.maxSequences() + 1L)),
                builder.input("slots", TensorSpec.rows(DType.I32, sequences)),
                builder.input("outputRows", TensorSpec.rows(DType.I32, outputs)));
    }

    /**
     * The cache of keys and values as a graph sees it. A step reads and extends it; the session makes the extension last only
     * when the whole step has succeeded, by raising the lengths.
     *
     * @param shape the shape of the cache
     * @param keys pool of key pages [pages, 64, rowElements], as {@link KvShape} says
     * @param values pool of value pages, likewise
     * @param table I32 [slots, layers, heads, pagesPerHead]: the pool's page that holds each page of a head
     * @param lengths I32 [slots, layers, heads]: rows cached before this step
     */
    public record Kv(KvShape shape, Value keys, Value values, Value table, Value lengths) {

        public static final String POOL = "kv.pool";

        /** I32 [slots, layers, heads]: how many of a head's first rows are decided: chosen when it last dropped some; 0 if it never has. */
        public static final String SETTLED = "kv.settled";

        public static Kv declare(GraphBuilder builder, KvShape shape) {
            Dim pool = new Dim.AtMost(Integer.MAX_VALUE, POOL);
            TensorSpec pages = TensorSpec.rows(shape.dtype(), pool, KvShape.PAGE_ROWS, shape.rowElements());
            return new Kv(
                    shape,
                    builder.input("kv.keys", pages),
                    builder.input("kv.values", pages),
                    builder.input(
                            "kv.table",
                            TensorSpec.of(
                                    DType.I32, shape.slots(), shape.layers(), shape.heads(), shape.pagesPerHead())),
                    builder.input(
                            "kv.lengths", TensorSpec.of(DType.I32, shape.slots(), shape.layers(), shape.heads())));
        }

        /** The input {@link #SETTLED} of the graph that {@code builder} records, which few graphs read. */
        public static Value settled(GraphBuilder builder, KvShape shape) {
            return builder.sharedInput(SETTLED, TensorSpec.of(DType.I32, shape.slots(), shape.layers(), shape.heads()));
        }

        /** In the order in which {@link KvAppend} and {@link Attention} take them. */
        public List<Value> operands() {
            return List.of(keys, values, table, lengths);
        }
    }
}
