package ai.winnow.sparsity.attention.tca;

import ai.winnow.ir.Attention;
import ai.winnow.ir.Fused;
import ai.winnow.ir.Inference;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * The tokens that each key-value head keeps of a text, and what its rows see. Inputs: {@code importance F32 [tiles, heads * contextLength]}
 * as {@link ai.winnow.ir.AttendedKeys} makes it for {@code kept}, {@code sequence, indptr, slots}, and {@code lengths} and {@code settled} of
 * the cache. Outputs: the three tensors of {@code kept}, which {@link ai.winnow.ir.KvRetain} takes, then those of {@code seen}: the tokens
 * kept, and the latest {@code window} before each tile with the tile itself.
 *
 * @param kept one tile for each sequence of a step
 * @param seen what {@link ai.winnow.ir.SparseAttention} takes
 * @param configurations one for each key-value head
 */
record SelectCoreTokens(
        Attention attention, KeyLists kept, KeyLists seen, CoreTokens rule, List<Configuration> configurations)
        implements Fused.Defined {

    private static final int SEQUENCE = 1;
    private static final int LENGTHS = SEQUENCE + 3;
    private static final int SETTLED = LENGTHS + 1;

    SelectCoreTokens {
        configurations = List.copyOf(configurations);
    }

    @Override
    public String name() {
        double density = configurations.stream()
                .mapToDouble(Configuration::density)
                .average()
                .orElse(1);
        return String.format(Locale.ROOT, "SelectCoreTokens[%.0f %% of %d heads]", 100 * density, seen.lists());
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, SETTLED + 1);
        TensorSpec sequence = inputs.get(SEQUENCE);
        TensorSpec indptr = inputs.get(SEQUENCE + 1);
        return Stream.concat(kept.specs(sequence, indptr).stream(), seen.specs(sequence, indptr).stream())
                .toList();
    }

    @Override
    public void evaluate(Operands operands) {
        KvShape shape = attention.shape();
        int rows = operands.inRows(SEQUENCE);
        boolean[][][] chosen = new boolean[operands.inRows(SEQUENCE + 2)][shape.heads()][];
        kept.forEachTile(operands.in(SEQUENCE + 1), rows, (tile, sequence, from, to) -> {
            for (int head = 0; head < shape.heads(); head++) {
                int end = length(operands, LENGTHS, sequence, head) + to - from;
                int settled = length(operands, SETTLED, sequence, head);
                float[] importance = new float[end];
                long at = ((long) tile * shape.heads() + head) * shape.contextLength();
                for (int key = 0; key < end; key++) {
                    importance[key] = operands.in(0).getAtIndex(ValueLayout.JAVA_FLOAT, at + key);
                }
                chosen[sequence][head] = rule.choose(importance, settled, configurations.get(head));
                kept.write(operands, 0, tile, head, chosen[sequence][head]);
            }
        });
        seen.forEachTile(operands.in(SEQUENCE + 1), rows, (tile, sequence, from, to) -> {
            int start = operands.in(SEQUENCE + 1).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int first = length(operands, LENGTHS, sequence, head) + from - start;
                boolean[] named = Arrays.copyOf(chosen[sequence][head], first + to - from);
                Arrays.fill(named, Math.max(0, first + 1 - rule.window()), named.length, true);
                seen.write(operands, KeyLists.TENSORS, tile, head, named);
            }
        });
    }

    private int length(Operands operands, int operand, int sequence, int head) {
        int slot = operands.in(SEQUENCE + 2).getAtIndex(ValueLayout.JAVA_INT, sequence);
        int index = attention.shape().headIndex(slot, attention.layer(), head);
        return operands.in(operand).getAtIndex(ValueLayout.JAVA_INT, index);
    }
}
