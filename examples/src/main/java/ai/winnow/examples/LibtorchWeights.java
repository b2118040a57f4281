package ai.winnow.examples;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.winnow.io.TensorSource;
import ai.winnow.tensor.NativeMemory;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * A checkpoint's tensors as {@code NDArray}s in f32. We convert them ourselves, into memory that libtorch then only looks at:
 * DJL's own conversion from bf16 ends the process on the CPU.
 *
 * @param arena owns the memory; the manager must be closed first
 */
record LibtorchWeights(TensorSource source, NDManager manager, Arena arena) {

    private static final int BLOCK = 64;

    NDArray vector(String name) {
        return matrix(List.of(name), false).flatten();
    }

    /** One linear layer with the outputs of all of {@code names}, one after the other. */
    LibtorchLinear linear(LibtorchLinear.Choice choice, String... names) {
        return new LibtorchLinear(matrix(List.of(names), choice.inputsFirst()), choice);
    }

    private NDArray matrix(List<String> names, boolean inputsFirst) {
        List<TensorSpec> specs = new ArrayList<>();
        names.forEach(name -> specs.add(Objects.requireNonNull(source.spec(name), name)));
        int inputs = Math.toIntExact(
                specs.getFirst().shape().max(specs.getFirst().shape().rank() - 1));
        int outputs = 0;
        for (TensorSpec spec : specs) {
            outputs += Math.toIntExact(spec.shape().maxElements() / inputs);
        }
        MemorySegment target = NativeMemory.allocate(arena, 4L * outputs * inputs);
        int row = 0;
        for (String name : names) {
            try (Arena passing = Arena.ofShared()) {
                Tensor tensor = source.load(name, passing);
                int rows = Math.toIntExact(tensor.shape().maxElements() / inputs);
                if (inputsFirst) {
                    transpose(tensor, rows, inputs, target, row, outputs);
                } else {
                    copy(tensor, rows, inputs, target, row);
                }
                row += rows;
            }
        }
        Shape shape = inputsFirst ? new Shape(inputs, outputs) : new Shape(outputs, inputs);
        return manager.create(target.asByteBuffer().order(ByteOrder.nativeOrder()), shape, DataType.FLOAT32);
    }

    private static void copy(Tensor tensor, int rows, int columns, MemorySegment target, int firstRow) {
        MemorySegment from = tensor.segment();
        boolean narrow = narrow(tensor);
        IntStream.range(0, rows).parallel().forEach(row -> {
            long source = (long) row * columns;
            long to = (long) (firstRow + row) * columns;
            for (int column = 0; column < columns; column++) {
                target.setAtIndex(ValueLayout.JAVA_FLOAT, to + column, value(from, source + column, narrow));
            }
        });
    }

    private static void transpose(
            Tensor tensor, int rows, int columns, MemorySegment target, int firstRow, int outputs) {
        MemorySegment from = tensor.segment();
        boolean narrow = narrow(tensor);
        IntStream.range(0, (columns + BLOCK - 1) / BLOCK).parallel().forEach(block -> {
            int left = block * BLOCK;
            int right = Math.min(columns, left + BLOCK);
            for (int top = 0; top < rows; top += BLOCK) {
                int bottom = Math.min(rows, top + BLOCK);
                for (int column = left; column < right; column++) {
                    long to = (long) column * outputs + firstRow;
                    for (int row = top; row < bottom; row++) {
                        float value = value(from, (long) row * columns + column, narrow);
                        target.setAtIndex(ValueLayout.JAVA_FLOAT, to + row, value);
                    }
                }
            }
        });
    }

    private static boolean narrow(Tensor tensor) {
        return switch (tensor.dtype()) {
            case BF16 -> true;
            case F32 -> false;
            default -> throw new IllegalArgumentException("the baseline reads F32 and BF16, not " + tensor.dtype());
        };
    }

    private static float value(MemorySegment from, long index, boolean narrow) {
        return narrow
                ? Float.intBitsToFloat(from.getAtIndex(ValueLayout.JAVA_SHORT, index) << 16)
                : from.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, index);
    }
}
