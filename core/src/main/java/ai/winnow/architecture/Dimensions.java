package ai.winnow.architecture;

import ai.winnow.ShapeException;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.StepLimits;

/**
 * The sizes of a model.
 *
 * @param hiddenSize elements of a row between the layers
 * @param intermediateSize elements inside the feed-forward layers
 * @param numKeyValueHeads heads of keys and values; divides numAttentionHeads
 * @param headDim elements of a head; numAttentionHeads * headDim need not be hiddenSize
 * @param maxPositions positions the model was made for
 */
public record Dimensions(
        int hiddenSize,
        int intermediateSize,
        int numHiddenLayers,
        int numAttentionHeads,
        int numKeyValueHeads,
        int headDim,
        int vocabSize,
        int maxPositions) {

    /** No size is greater: far above any model, and products of two stay far below the range of a long. */
    public static final int LIMIT = 1 << 28;

    /** No model has more layers; a graph of this many still fits in memory. */
    public static final int LAYER_LIMIT = 1 << 12;

    public Dimensions {
        require("hiddenSize", hiddenSize);
        require("intermediateSize", intermediateSize);
        require("numHiddenLayers", numHiddenLayers, LAYER_LIMIT);
        require("numAttentionHeads", numAttentionHeads);
        require("numKeyValueHeads", numKeyValueHeads);
        require("headDim", headDim);
        require("vocabSize", vocabSize);
        require("maxPositions", maxPositions);
        if (numAttentionHeads % numKeyValueHeads != 0) {
            throw new ShapeException(numAttentionHeads + " attention heads cannot share " + numKeyValueHeads
                    + " key-value heads evenly; the first must be a multiple of the second");
        }
        if ((long) numAttentionHeads * headDim > LIMIT) {
            throw new ShapeException(numAttentionHeads + " attention heads of " + headDim + " elements are more than "
                    + LIMIT + " elements a row");
        }
    }

    /** Elements of all queries of a row. */
    public int querySize() {
        return numAttentionHeads * headDim;
    }

    /** Elements of all keys (or values) of a row. */
    public int keyValueSize() {
        return numKeyValueHeads * headDim;
    }

    /** The cache of keys and values for one slot a sequence. */
    KvShape kvShape(StepLimits limits) {
        return new KvShape(
                numHiddenLayers,
                numKeyValueHeads,
                headDim,
                limits.maxSequences(),
                limits.contextLength(),
                limits.kvType());
    }

    private static void require(String name, int size) {
        require(name, size, LIMIT);
    }

    private static void require(String name, int size, int most) {
        if (size < 1 || size > most) {
            throw new ShapeException(name + " must be from 1 to " + most + ", not " + size);
        }
    }
}
