package ai.winnow.ir;

import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Writes into a plane the mean key of each unit that this step's rows belong to, over all keys that the unit has with them; comes after
 * {@link KvAppend} of its layer. The mean is the f32 sum of the keys as they are cached, in their order, times the f32 {@code 1 / count}.
 * Inputs: {@code sequence, indptr, slots} of {@link StandardInputs}, the plane, {@code table, lengths, keys} of {@link StandardInputs.Kv}.
 */
public record KeyMeans(KvShape shape, int layer, KvPlane plane) implements Fused.Defined {

    public KeyMeans {
        int width = shape.headDim();
        KvPlane given = plane;
        Inference.require(
                given.width() == width && given.unit() > 1,
                () -> given + " does not hold means of keys of " + width + " numbers");
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 7);
        Inference.requirePlane(this, inputs, 0, shape, plane);
        Inference.requirePool(this, inputs, 6, shape);
        return List.of();
    }

    @Override
    public boolean writesState() {
        return true;
    }

    @Override
    public String name() {
        return "KeyMeans[" + plane.name() + ", of " + plane.unit() + "]";
    }

    @Override
    public void evaluate(Operands operands) {
        float[] sum = new float[plane.width()];
        for (int row = 0; row < operands.inRows(0); ) {
            int sequence = operands.in(0).getAtIndex(ValueLayout.JAVA_INT, row);
            int next = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, sequence + 1L);
            int slot = operands.in(2).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int length = operands.in(5).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, layer, head));
                int end = length + next - row;
                for (int unit = length / plane.unit(); unit * plane.unit() < end; unit++) {
                    int from = unit * plane.unit();
                    int page = KvAppend.page(shape, operands.in(4), slot, layer, head, from);
                    mean(operands, page, from % KvShape.PAGE_ROWS, Math.min(plane.unit(), end - from), sum);
                }
            }
            row = next;
        }
    }

    private void mean(Operands operands, int page, int row, int count, float[] sum) {
        for (int d = 0; d < sum.length; d++) {
            sum[d] = 0;
            for (int i = 0; i < count; i++) {
                sum[d] += shape.get(operands.in(6), page, row + i, d);
            }
            float mean = sum[d] * (1f / count);
            plane.dtype().setFloat(operands.in(3), plane.at(page, d, row / plane.unit()), mean);
        }
    }
}
