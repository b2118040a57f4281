package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Some channels of each head: {@code x F32 [rows, heads * headDim], channels I32 [groups, n] -> F32 [rows, heads * width]}. Neighbouring heads, as
 * many for each group, take the first {@code width} channels that their group lists, in its order.
 */
public record SelectChannels(int heads, int headDim, int groups, int width) implements Fused.Defined {

    public SelectChannels {
        int all = heads;
        int shared = groups;
        Inference.require(all % shared == 0, () -> all + " heads cannot share " + shared + " lists of channels evenly");
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 2);
        Inference.requireRows(this, inputs, 0, (long) heads * headDim);
        TensorSpec channels = inputs.get(1);
        Inference.require(
                channels.dtype() == DType.I32
                        && channels.shape().rank() == 2
                        && channels.shape().max(0) == groups
                        && channels.shape().max(1) >= width,
                () -> name() + ": the channels must be I32 [" + groups + ", at least " + width + "], got " + channels);
        return List.of(TensorSpec.rows(DType.F32, inputs.getFirst().shape().rowDim(), (long) heads * width));
    }

    @Override
    public String name() {
        return "SelectChannels[" + width + " of " + headDim + "]";
    }

    @Override
    public void evaluate(Operands operands) {
        long listed = operands.input(1).shape().max(1);
        for (int row = 0; row < operands.inRows(0); row++) {
            for (int head = 0; head < heads; head++) {
                for (int j = 0; j < width; j++) {
                    long entry = head / (heads / groups) * listed + j;
                    int channel = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, entry);
                    long from = ((long) row * heads + head) * headDim + channel;
                    float number = operands.in(0).getAtIndex(ValueLayout.JAVA_FLOAT, from);
                    operands.out(0).setAtIndex(ValueLayout.JAVA_FLOAT, ((long) row * heads + head) * width + j, number);
                }
            }
        }
    }
}
