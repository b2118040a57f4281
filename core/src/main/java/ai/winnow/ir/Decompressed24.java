package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Nm24;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.List;

/**
 * A weight {@code [out, in]} that a file holds pruned 2:4 in the portable form of {@link Nm24}.
 *
 * @param values {@code [out, in / 2]}
 * @param codes I16 {@code [out, in / 16]}
 */
public record Decompressed24(WeightRef values, WeightRef codes) implements Derivation {

    /** The weight, kept in {@code type}, with its structure declared: what a method or a model file puts into its graph. */
    public static WeightRef weight(String name, DType type, WeightRef values, WeightRef codes) {
        long out = values.spec().shape().max(0);
        long in = 2 * values.spec().shape().max(1);
        return WeightRef.derived(name, TensorSpec.of(type, out, in), new Decompressed24(values, codes))
                .withStructure(new WeightStructure.NOfM(2, 4));
    }

    @Override
    public List<WeightRef> sources() {
        return List.of(values, codes);
    }

    @Override
    public void compute(List<Tensor> sources, Tensor result) {
        new Nm24(sources.get(0), sources.get(1)).decompress(values.name(), result);
    }
}
