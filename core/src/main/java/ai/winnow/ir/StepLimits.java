package ai.winnow.ir;

import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;

/**
 * The most that one step takes and one session holds; memory is laid out for it once.
 *
 * @param maxTokens rows of a step, over all its sequences
 * @param maxSequences sequences a session holds at once
 * @param maxOutputs rows of a step whose logits are asked for
 * @param contextLength positions of one sequence
 * @param kvType element type of the cached keys and values: F32, BF16 or I8
 */
public record StepLimits(int maxTokens, int maxSequences, int maxOutputs, int contextLength, DType kvType) {

    public StepLimits {
        if (maxTokens < 1 || maxSequences < 1 || maxOutputs < 1 || contextLength < 1) {
            throw new ShapeException("limits of a step must be at least 1: " + maxTokens + " tokens, " + maxSequences
                    + " sequences, " + maxOutputs + " outputs, context " + contextLength);
        }
        KvShape.requireType(kvType);
    }

    /** These limits for a graph that takes one row of each sequence. */
    public StepLimits forDecode() {
        return new StepLimits(maxSequences, maxSequences, maxSequences, contextLength, kvType);
    }
}
