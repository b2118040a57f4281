package ai.winnow.ir;

import ai.winnow.tensor.TensorSpec;
import org.jspecify.annotations.Nullable;

/**
 * A weight by name. A graph holds references; memory is the business of {@code runtime.Weights}. The spec's type is the one the
 * weight is kept in, which may differ from the file's.
 *
 * @param structure where the weight is known to be zero
 */
public record WeightRef(
        Source source,
        String name,
        TensorSpec spec,
        @Nullable Derivation derivation,
        WeightStructure structure) {

    /** Which of the overlaid sets a weight comes from. */
    public enum Source {
        /** The model's checkpoint. */
        MODEL,
        /** A method's artefact. */
        ARTEFACT,
        /** Computed at load. */
        DERIVED
    }

    public static WeightRef model(String name, TensorSpec spec) {
        return new WeightRef(Source.MODEL, name, spec, null, WeightStructure.dense());
    }

    /** @param name unique over all artefacts of a policy: begin it with the method's name and a slash */
    public static WeightRef artefact(String name, TensorSpec spec) {
        return new WeightRef(Source.ARTEFACT, name, spec, null, WeightStructure.dense());
    }

    public static WeightRef derived(String name, TensorSpec spec, Derivation derivation) {
        return new WeightRef(Source.DERIVED, name, spec, derivation, WeightStructure.dense());
    }

    /** The same weight, of which it is known where it is zero: a matrix {@code [out, in]}. */
    public WeightRef withStructure(WeightStructure known) {
        return new WeightRef(source, name, spec, derivation, known);
    }
}
