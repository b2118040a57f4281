package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Task.AttentionTask;
import ai.winnow.benchmarks.compare.Task.FourBitTask;
import ai.winnow.benchmarks.compare.Task.LinearTask;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.NativeMemory;
import ai.winnow.tensor.Tensor;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.BFloat16BufferTensor;
import com.github.tjake.jlama.tensor.FloatBufferTensor;
import com.github.tjake.jlama.tensor.Q4ByteBufferTensor;
import com.github.tjake.jlama.tensor.TensorShape;
import com.github.tjake.jlama.tensor.operations.NativeSimdTensorOperations;
import com.github.tjake.jlama.tensor.operations.PanamaTensorOperations;
import com.github.tjake.jlama.tensor.operations.TensorOperations;
import com.github.tjake.jlama.util.MachineSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ForkJoinPool;
import java.util.stream.IntStream;

/**
 * Jlama's products with f32, bf16 and 4-bit weights, by its Vector API code or by its native code, whichever is faster. The
 * outputs are cut as its models cut them ({@code VectorMath.pchunk}), among the threads of a pool like its own.
 */
final class JlamaPeer implements Peer {

    /** Its quantize adds one half and rounds towards zero: negative inputs move by up to 1.5 steps. */
    private static final double TOWARDS_ZERO = 1.5;

    private static final com.github.tjake.jlama.safetensors.DType QUANTISED =
            com.github.tjake.jlama.safetensors.DType.I8;

    /** Of 8-bit inputs its Vector API code takes so many at a time, and fails at the end of a row of any other length. */
    private static final int PANAMA_INPUTS = 512;

    private final List<TensorOperations> operations =
            List.of(new PanamaTensorOperations(MachineSpec.VECTOR_TYPE), new NativeSimdTensorOperations());
    private final ForkJoinPool pool;
    private final Rounds rounds;

    JlamaPeer(int threads, Rounds rounds) {
        this.rounds = rounds;
        this.pool = new ForkJoinPool(threads);
    }

    @Override
    public String name() {
        return "jlama";
    }

    @Override
    public Optional<Subject> open(Task task) {
        return switch (task) {
            case LinearTask linear ->
                linear.type() == DType.F32 || linear.type() == DType.BF16
                        ? Optional.of(linear(linear))
                        : Optional.empty();
            case FourBitTask fourBit ->
                fourBit.group() % Q4ByteBufferTensor.BLOCK_SIZE == 0 ? Optional.of(fourBit(fourBit)) : Optional.empty();
            case AttentionTask _ -> Optional.empty();
        };
    }

    private Subject linear(LinearTask task) {
        boolean narrow = task.type() == DType.BF16;
        long numbers = (long) task.in() * task.out();
        Arena arena = new Memory().arena();
        MemorySegment weight = task.weight().segment().asSlice(0, 4 * numbers);
        MemorySegment kept = narrow ? bfloat16(weight, numbers, arena) : weight;
        TensorShape shape = TensorShape.of(task.out(), task.in());
        List<AbstractTensor<?, ?>> copies = new ArrayList<>();
        while (copies.size() < Rotation.copies(kept.byteSize())) {
            ByteBuffer bytes = Buffers.of(copies.isEmpty() ? kept : Buffers.copy(kept, arena));
            copies.add(
                    narrow
                            ? new BFloat16BufferTensor("weight", bytes.asShortBuffer(), shape, false)
                            : new FloatBufferTensor(bytes.asFloatBuffer(), shape, false));
        }
        return fastest(task.rows(), task.in(), task.out(), task.x(), copies, List.of(false), arena);
    }

    private static MemorySegment bfloat16(MemorySegment floats, long count, Arena arena) {
        MemorySegment target = NativeMemory.allocate(arena, 2 * count);
        for (long i = 0; i < count; i++) {
            float number = floats.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            target.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(number) >> 16)); // exact
        }
        return target;
    }

    /** Its blocks are of 32 inputs, of which byte {@code j} holds {@code j} and {@code j + 16}; a larger group is several blocks. */
    private Subject fourBit(FourBitTask task) {
        int block = Q4ByteBufferTensor.BLOCK_SIZE;
        int half = Q4ByteBufferTensor.HALF_BLOCK;
        int blocks = task.in() / block;
        Arena arena = new Memory().arena();
        MemorySegment packed = NativeMemory.allocate(arena, (long) task.out() * task.in() / 2);
        MemorySegment scales = NativeMemory.allocate(arena, 4L * task.out() * blocks);
        for (int output = 0; output < task.out(); output++) {
            for (int b = 0; b < blocks; b++) {
                long at = (long) output * blocks + b;
                scales.setAtIndex(ValueLayout.JAVA_FLOAT, at, task.scale(output, b * block));
                for (int j = 0; j < half; j++) {
                    int low = task.element(output, b * block + j) + 8;
                    int high = task.element(output, b * block + half + j) + 8;
                    packed.set(ValueLayout.JAVA_BYTE, at * half + j, (byte) (low | high << 4));
                }
            }
        }
        TensorShape shape = TensorShape.of(task.out(), task.in());
        List<AbstractTensor<?, ?>> copies = new ArrayList<>();
        while (copies.size() < Rotation.copies(packed.byteSize() + scales.byteSize())) {
            ByteBuffer factors = Buffers.of(Buffers.copy(scales, arena));
            FloatBufferTensor blockScales =
                    new FloatBufferTensor(factors.asFloatBuffer(), TensorShape.of(task.out(), blocks), false);
            ByteBuffer bytes = Buffers.of(Buffers.copy(packed, arena));
            copies.add(new Q4ByteBufferTensor("weight", bytes, blockScales, shape, false));
        }
        return fastest(task.rows(), task.in(), task.out(), task.x(), copies, List.of(true, false), arena);
    }

    /** @param quantising whether the inputs may be rounded to 8 bits, at each call, before they are multiplied */
    private Subject fastest(
            int rows,
            int in,
            int out,
            Tensor x,
            List<AbstractTensor<?, ?>> copies,
            List<Boolean> quantising,
            Arena arena) {
        FloatBufferTensor inputs =
                new FloatBufferTensor(Buffers.of(x, (long) rows * in).asFloatBuffer(), TensorShape.of(rows, in), false);
        MemorySegment y = NativeMemory.allocate(arena, 4L * rows * out);
        FloatBufferTensor outputs =
                new FloatBufferTensor(Buffers.of(y).asFloatBuffer(), TensorShape.of(rows, out), false);
        List<Subject> ways = new ArrayList<>();
        for (TensorOperations each : operations) {
            for (boolean quantised : quantising) {
                if (quantised && each instanceof PanamaTensorOperations && in % PANAMA_INPUTS != 0) {
                    continue;
                }
                ways.add(new Rotation<>(
                        each.name()
                                + (quantised ? ", I8 x " : ", F32 x ")
                                + copies.getFirst().dType(),
                        copies,
                        weight -> multiply(each, quantised, inputs, weight, outputs),
                        _ -> y.toArray(ValueLayout.JAVA_FLOAT),
                        () -> {},
                        quantised ? TOWARDS_ZERO : 0));
            }
        }
        return new Owned(rounds.fastest(ways), arena);
    }

    /** One of several ways that share their operands: the others closed nothing. */
    private record Owned(Subject subject, Arena arena) implements Subject {
        @Override
        public void run() {
            subject.run();
        }

        @Override
        public float[] result() {
            return subject.result();
        }

        @Override
        public String call() {
            return subject.call();
        }

        @Override
        public double inputRounding() {
            return subject.inputRounding();
        }

        @Override
        public void close() {
            arena.close();
        }
    }

    private void multiply(
            TensorOperations operation,
            boolean quantised,
            FloatBufferTensor x,
            AbstractTensor<?, ?> weight,
            FloatBufferTensor y) {
        int in = x.shape().last();
        int out = y.shape().last();
        int parts = Math.min(out, operation.parallelSplitSize());
        int length = out / parts;
        AbstractTensor<?, ?> inputs = quantised ? operation.quantize(x, QUANTISED, 0, in) : x;
        pool.submit(() -> IntStream.range(0, parts)
                        .parallel()
                        .forEach(part -> operation.dotProductChunk(
                                y,
                                inputs,
                                weight,
                                0,
                                in,
                                part * length,
                                part == parts - 1 ? out - part * length : length)))
                .join();
        if (quantised) {
            inputs.close(); // back to its cache
        }
    }

    @Override
    public void close() {
        pool.shutdown();
    }
}
