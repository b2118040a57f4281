package ai.winnow.decode;

import ai.winnow.BackendException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The tokens of one step with their scores, taken out in order as far as needed: building the heap is linear, each token taken out
 * costs the logarithm. Room for a sampler to work in; samplers that take turns may share it.
 */
final class Candidates {

    private float[] scores = {};
    private int[] heap = {};
    private int size;

    /** Copies the logits of {@code vocabSize} tokens here. */
    float[] load(MemorySegment logits, int vocabSize) {
        if (scores.length < vocabSize) {
            scores = new float[vocabSize];
        }
        MemorySegment.copy(logits, ValueLayout.JAVA_FLOAT, 0, scores, 0, vocabSize);
        return scores;
    }

    /** The greatest score of {@code vocabSize} tokens; -infinity is a token that is not allowed. */
    float greatest(int vocabSize) {
        float greatest = Float.NEGATIVE_INFINITY;
        for (int token = 0; token < vocabSize; token++) {
            // Math.max lets NaN through: it is never dropped.
            greatest = Math.max(greatest, scores[token]);
        }
        if (!Float.isFinite(greatest)) {
            throw new BackendException("the greatest logit of this step is " + greatest
                    + ": there is no token to take. The weights or a policy's artefact do not fit this model");
        }
        return greatest;
    }

    /** Orders the first {@code vocabSize} tokens: the greatest score first, then the lower token. */
    void order(int vocabSize) {
        if (heap.length < vocabSize) {
            heap = new int[vocabSize];
        }
        for (int token = 0; token < vocabSize; token++) {
            heap[token] = token;
        }
        size = vocabSize;
        for (int parent = size / 2 - 1; parent >= 0; parent--) {
            sink(parent);
        }
    }

    /** Takes out the next token in order. */
    int take() {
        int token = heap[0];
        size--;
        heap[0] = heap[size];
        // Tokens taken out stay behind the heap, the first of them at the very end.
        heap[size] = token;
        sink(0);
        return token;
    }

    /** The {@code n}th token that was taken out of {@code vocabSize}. */
    int taken(int n, int vocabSize) {
        return heap[vocabSize - 1 - n];
    }

    private void sink(int start) {
        int parent = start;
        int token = heap[parent];
        while (2 * parent + 1 < size) {
            int child = 2 * parent + 1;
            if (child + 1 < size && before(heap[child + 1], heap[child])) {
                child++;
            }
            if (!before(heap[child], token)) {
                break;
            }
            heap[parent] = heap[child];
            parent = child;
        }
        heap[parent] = token;
    }

    private boolean before(int one, int other) {
        return scores[one] > scores[other] || (scores[one] == scores[other] && one < other);
    }
}
