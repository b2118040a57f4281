package ai.winnow.runtime;

import ai.winnow.ShapeException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout.ScaledGroups;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How to load a model. {@link #defaults()} suits a service on the CPU; change single options with the {@code with…} methods.
 *
 * @param weightType type that matrices are kept in: F32, BF16, F16, I8 (quantised at load, a scale a row) or I4 (quantised at load,
 *     a scale a group); null for the type of the checkpoint
 * @param weightGroup weights of I4 that share a scale: {@value #SMALL_GROUP} or {@value #LARGE_GROUP}, which takes 15 % less
 *     memory and loses more
 * @param kvType type that keys and values are cached in: F32, BF16 or I8, which has a scale for each row of a head
 * @param contextLength the most positions of a sequence; 0 for what the model allows, at most {@value #DEFAULT_CONTEXT}
 * @param maxSequences sequences that a session holds at once
 * @param maxStepTokens rows of one step; longer prompts are run in pieces
 * @param threads threads that compute at the same time; 0 for all processors of this container
 * @param kvBytes the most bytes of keys and values a session may hold; 0 for what all sequences at full length need. Memory is
 *     taken only as it is filled
 * @param warmUp whether to run the model at load until its kernels are compiled, so that the first request is not slow
 * @param artefacts calibration results by method; for a method that is not named, the model's folder is searched ({@code
 *     winnow/<method>})
 */
public record ModelOptions(
        @Nullable DType weightType,
        int weightGroup,
        DType kvType,
        int contextLength,
        int maxSequences,
        int maxStepTokens,
        int threads,
        long kvBytes,
        boolean warmUp,
        Map<String, Artefact> artefacts) {

    /** Context length unless another is asked for. */
    public static final int DEFAULT_CONTEXT = 8192;

    /** Weights of I4 that share a scale, unless {@link #LARGE_GROUP} is asked for. */
    public static final int SMALL_GROUP = ScaledGroups.SMALL;

    public static final int LARGE_GROUP = ScaledGroups.LARGE;

    public ModelOptions {
        artefacts = Map.copyOf(artefacts);
        if (weightType != null
                && weightType != DType.F32
                && weightType != DType.BF16
                && weightType != DType.F16
                && weightType != DType.I8
                && weightType != DType.I4) {
            throw new ShapeException("weights are kept as F32, BF16, F16, I8 or I4, not " + weightType);
        }
        if (weightGroup != SMALL_GROUP && weightGroup != LARGE_GROUP) {
            throw new ShapeException(
                    "of I4 weights, " + SMALL_GROUP + " or " + LARGE_GROUP + " share a scale, not " + weightGroup);
        }
        KvShape.requireType(kvType);
        if (contextLength < 0 || threads < 0 || kvBytes < 0) {
            throw new ShapeException("context length, threads and bytes of the cache cannot be negative: "
                    + contextLength + ", " + threads + ", " + kvBytes);
        }
        if (maxSequences < 1 || maxStepTokens < maxSequences) {
            throw new ShapeException("a step must take a token of each sequence: maxSequences " + maxSequences
                    + ", maxStepTokens " + maxStepTokens);
        }
    }

    public static ModelOptions defaults() {
        return new ModelOptions(null, SMALL_GROUP, DType.F32, 0, 8, 256, 0, 0, true, Map.of());
    }

    public ModelOptions withWeightType(@Nullable DType type) {
        return new ModelOptions(
                type,
                weightGroup,
                kvType,
                contextLength,
                maxSequences,
                maxStepTokens,
                threads,
                kvBytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withWeightGroup(int weights) {
        return new ModelOptions(
                weightType,
                weights,
                kvType,
                contextLength,
                maxSequences,
                maxStepTokens,
                threads,
                kvBytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withKvType(DType type) {
        return new ModelOptions(
                weightType,
                weightGroup,
                type,
                contextLength,
                maxSequences,
                maxStepTokens,
                threads,
                kvBytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withContextLength(int positions) {
        return new ModelOptions(
                weightType,
                weightGroup,
                kvType,
                positions,
                maxSequences,
                maxStepTokens,
                threads,
                kvBytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withMaxSequences(int sequences) {
        return new ModelOptions(
                weightType,
                weightGroup,
                kvType,
                contextLength,
                sequences,
                Math.max(maxStepTokens, sequences),
                threads,
                kvBytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withMaxStepTokens(int tokens) {
        return new ModelOptions(
                weightType,
                weightGroup,
                kvType,
                contextLength,
                maxSequences,
                tokens,
                threads,
                kvBytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withThreads(int count) {
        return new ModelOptions(
                weightType,
                weightGroup,
                kvType,
                contextLength,
                maxSequences,
                maxStepTokens,
                count,
                kvBytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withKvBytes(long bytes) {
        return new ModelOptions(
                weightType,
                weightGroup,
                kvType,
                contextLength,
                maxSequences,
                maxStepTokens,
                threads,
                bytes,
                warmUp,
                artefacts);
    }

    public ModelOptions withWarmUp(boolean on) {
        return new ModelOptions(
                weightType,
                weightGroup,
                kvType,
                contextLength,
                maxSequences,
                maxStepTokens,
                threads,
                kvBytes,
                on,
                artefacts);
    }

    public ModelOptions withArtefacts(Map<String, Artefact> byMethod) {
        return new ModelOptions(
                weightType,
                weightGroup,
                kvType,
                contextLength,
                maxSequences,
                maxStepTokens,
                threads,
                kvBytes,
                warmUp,
                byMethod);
    }
}
