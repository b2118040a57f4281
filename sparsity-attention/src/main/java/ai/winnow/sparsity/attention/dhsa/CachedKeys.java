package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.ir.Inference;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Op;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The keys of one layer as an op reads them: of {@value #OPERANDS} operands {@code sequence, indptr, slots, keys, table, lengths}, the
 * first of which is operand {@code from}. Keys are as cached, behind the rotary embedding, this step's rows included.
 */
record CachedKeys(KvShape shape, int layer, Operands operands, int from) {

    static final int OPERANDS = 6;

    /** Requires the inputs from {@code from} on to be the operands over a cache of {@code shape}. */
    static void require(Op op, List<TensorSpec> inputs, int from, KvShape shape) {
        for (int i = from; i < from + 3; i++) {
            Inference.requireType(op, inputs, i, DType.I32);
        }
        Inference.requirePool(op, inputs, from + 3, shape);
        Inference.requireTables(op, inputs, from + 4, shape);
    }

    /** Sequences of this step. */
    int sequences() {
        return operands.inRows(from + 2);
    }

    /** The first row of {@code sequence} in this step; of one sequence more, the end of the last. */
    int firstRow(int sequence) {
        return operands.in(from + 1).getAtIndex(ValueLayout.JAVA_INT, sequence);
    }

    /** Keys that {@code head} had before this step. */
    int cached(int sequence, int head) {
        return operands.in(from + 5).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot(sequence), layer, head));
    }

    /** Keys with those of this step. */
    int total(int sequence) {
        return cached(sequence, 0) + firstRow(sequence + 1) - firstRow(sequence);
    }

    /** Whether key {@code i} is of the same token in each head, as far as lengths tell: not where heads dropped different numbers of rows. */
    boolean aligned(int sequence) {
        for (int head = 1; head < shape.heads(); head++) {
            if (cached(sequence, head) != cached(sequence, 0)) {
                return false;
            }
        }
        return true;
    }

    /** Number {@code d} of key {@code at} of {@code head}. */
    float get(int sequence, int head, int at, int d) {
        long entry = shape.tableIndex(slot(sequence), layer, head) + at / KvShape.PAGE_ROWS;
        int page = operands.in(from + 4).getAtIndex(ValueLayout.JAVA_INT, entry);
        return shape.get(operands.in(from + 3), page, at % KvShape.PAGE_ROWS, d);
    }

    /** Keys {@code begin} to {@code end}, those of all heads of a token behind each other: {@code [end - begin, heads * headDim]}. */
    float[] rows(int sequence, int begin, int end) {
        float[] rows = new float[Math.multiplyExact(end - begin, width())];
        int i = 0;
        for (int at = begin; at < end; at++) {
            for (int head = 0; head < shape.heads(); head++) {
                for (int d = 0; d < shape.headDim(); d++) {
                    rows[i++] = get(sequence, head, at, d);
                }
            }
        }
        return rows;
    }

    /** Numbers of a token's keys. */
    int width() {
        return shape.heads() * shape.headDim();
    }

    private int slot(int sequence) {
        return operands.in(from + 2).getAtIndex(ValueLayout.JAVA_INT, sequence);
    }
}
