package ai.winnow.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The tensors that one node reads and writes, bound once for a session. How many rows a {@link Dim.AtMost} tensor has now is
 * read from memory at every call, so that nothing is rebuilt between steps.
 */
public final class Operands {

    /** A tensor and, if its first axis varies, the int32 that says how many rows it has now. */
    public record Operand(Tensor tensor, @Nullable MemorySegment extent) {

        public static Operand fixed(Tensor tensor) {
            return new Operand(tensor, null);
        }

        int rows() {
            return extent == null
                    ? Math.toIntExact(tensor.spec().shape().rowDim().max())
                    : extent.get(ValueLayout.JAVA_INT, 0);
        }
    }

    private final Operand[] inputs;
    private final Operand[] outputs;
    private final MemorySegment[] inputSegments;
    private final MemorySegment[] outputSegments;
    private final long[] inputAddresses;
    private final long[] outputAddresses;

    public Operands(List<Operand> inputs, List<Operand> outputs) {
        this.inputs = inputs.toArray(Operand[]::new);
        this.outputs = outputs.toArray(Operand[]::new);
        this.inputSegments = inputs.stream().map(o -> o.tensor().segment()).toArray(MemorySegment[]::new);
        this.outputSegments = outputs.stream().map(o -> o.tensor().segment()).toArray(MemorySegment[]::new);
        this.inputAddresses =
                Arrays.stream(inputSegments).mapToLong(MemorySegment::address).toArray();
        this.outputAddresses =
                Arrays.stream(outputSegments).mapToLong(MemorySegment::address).toArray();
    }

    /** Operands without a varying axis. */
    public static Operands of(List<Tensor> inputs, List<Tensor> outputs) {
        return new Operands(
                inputs.stream().map(Operand::fixed).toList(),
                outputs.stream().map(Operand::fixed).toList());
    }

    public int inputCount() {
        return inputs.length;
    }

    public int outputCount() {
        return outputs.length;
    }

    public Tensor input(int index) {
        return inputs[index].tensor();
    }

    public Tensor output(int index) {
        return outputs[index].tensor();
    }

    /** The memory of input {@code index}. */
    public MemorySegment in(int index) {
        return inputSegments[index];
    }

    /** The memory of output {@code index}. */
    public MemorySegment out(int index) {
        return outputSegments[index];
    }

    /** Where the memory of input {@code index} begins. A kernel that reads through addresses is alone responsible for staying inside. */
    public long inAddress(int index) {
        return inputAddresses[index];
    }

    /** Where the memory of output {@code index} begins. */
    public long outAddress(int index) {
        return outputAddresses[index];
    }

    /** How many rows (size of the first axis) input {@code index} has now. */
    public int inRows(int index) {
        return inputs[index].rows();
    }

    /** How many rows (size of the first axis) output {@code index} has now. */
    public int outRows(int index) {
        return outputs[index].rows();
    }
}
