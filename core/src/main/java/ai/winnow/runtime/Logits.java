package ai.winnow.runtime;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The logits of the last token of each sequence of a step, in the order of the batch. A view of the session's memory: valid until
 * its next step; copy what is to stay.
 */
public final class Logits {

    private final Tensor tensor;
    private final int rows;
    private final int vocabSize;

    Logits(Tensor tensor, int rows) {
        this.tensor = tensor;
        this.rows = rows;
        this.vocabSize = Math.toIntExact(tensor.shape().max(1));
    }

    /** How many sequences there are logits of. */
    public int rows() {
        return rows;
    }

    public int vocabSize() {
        return vocabSize;
    }

    /** F32 {@code [vocabSize]}: the logits of row {@code row}, without a copy. */
    public MemorySegment row(int row) {
        if (row < 0 || row >= rows) {
            throw new IndexOutOfBoundsException("row " + row + " of " + rows);
        }
        return tensor.segment().asSlice(4L * row * vocabSize, 4L * vocabSize);
    }

    public float get(int row, int token) {
        return DType.F32.getFloat(row(row), token);
    }

    /** A copy of the logits of row {@code row}. */
    public float[] copyOf(int row) {
        return row(row).toArray(ValueLayout.JAVA_FLOAT);
    }

    /** The token with the greatest logit; ties go to the lower. */
    public int argMax(int row) {
        MemorySegment logits = row(row);
        int best = 0;
        float greatest = Float.NEGATIVE_INFINITY;
        for (int token = 0; token < vocabSize; token++) {
            float logit = logits.getAtIndex(ValueLayout.JAVA_FLOAT, token);
            if (logit > greatest) {
                greatest = logit;
                best = token;
            }
        }
        return best;
    }
}
