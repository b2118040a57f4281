package ai.winnow.ir;

import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Writes this step's rows of a plane that has numbers for each key. Inputs: {@code numbers F32 [rows, heads * width]}, then {@code sequence,
 * indptr, slots} of {@link StandardInputs}, the plane, and {@code table, lengths} of {@link StandardInputs.Kv}.
 */
public record KvPlaneAppend(KvShape shape, int layer, KvPlane plane) implements Fused.Defined {

    public KvPlaneAppend {
        KvPlane given = plane;
        Inference.require(given.unit() == 1, () -> given + " has no numbers for single keys");
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, 7);
        Inference.requireRows(this, inputs, 0, (long) shape.heads() * plane.width());
        Inference.requirePlane(this, inputs, 1, shape, plane);
        return List.of();
    }

    @Override
    public boolean writesState() {
        return true;
    }

    @Override
    public String name() {
        return "KvPlaneAppend[" + plane.name() + "]";
    }

    @Override
    public void evaluate(Operands operands) {
        for (int row = 0; row < operands.inRows(0); row++) {
            int sequence = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, row);
            int first = operands.in(2).getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int length = operands.in(6).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, layer, head));
                int at = length + row - first;
                int page = KvAppend.page(shape, operands.in(5), slot, layer, head, at);
                for (int j = 0; j < plane.width(); j++) {
                    long from = ((long) row * shape.heads() + head) * plane.width() + j;
                    float number = operands.in(0).getAtIndex(ValueLayout.JAVA_FLOAT, from);
                    plane.dtype().setFloat(operands.in(4), plane.at(page, j, at % KvShape.PAGE_ROWS), number);
                }
            }
        }
    }
}
