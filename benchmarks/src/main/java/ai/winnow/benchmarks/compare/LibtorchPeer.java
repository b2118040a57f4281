package ai.winnow.benchmarks.compare;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.winnow.benchmarks.compare.Task.AttentionTask;
import ai.winnow.benchmarks.compare.Task.FourBitTask;
import ai.winnow.benchmarks.compare.Task.LinearTask;
import ai.winnow.examples.LibtorchLinear;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** libtorch through DJL, in f32: for linear layers the fastest of its calls in the layout that suits it, for attention three calls. */
final class LibtorchPeer implements Peer {

    /** An array of the step's manager. */
    private interface Computation extends Function<NDManager, NDArray> {}

    private record Sizes(int in, int out, boolean manyRows) {}

    private final NDManager manager;
    private final Map<Sizes, LibtorchLinear.Choice> choices = new HashMap<>();

    LibtorchPeer(int threads) {
        this.manager = LibtorchLinear.engine(threads).newBaseManager();
    }

    @Override
    public String name() {
        return "libtorch";
    }

    @Override
    public Optional<Subject> open(Task task) {
        return switch (task) {
            case LinearTask linear -> linear.type() == DType.I8 ? Optional.empty() : Optional.of(linear(linear));
            case FourBitTask _ -> Optional.empty();
            case AttentionTask attention -> Optional.of(attention(attention));
        };
    }

    private Subject linear(LinearTask task) {
        int in = task.in();
        int out = task.out();
        NDManager own = manager.newSubManager();
        Arena arena = new Memory().arena();
        LibtorchLinear.Choice choice = choices.computeIfAbsent(
                new Sizes(in, out, task.rows() > 1),
                sizes -> LibtorchLinear.fastest(own, sizes.in(), sizes.out(), sizes.manyRows()));
        NDArray x =
                own.create(Buffers.of(task.x(), (long) task.rows() * in), new Shape(task.rows(), in), DataType.FLOAT32);
        MemorySegment weight = task.weight().segment().asSlice(0, 4L * in * out);
        if (choice.inputsFirst()) {
            weight = Buffers.transposed(weight, out, in, arena);
        }
        Shape shape = choice.inputsFirst() ? new Shape(in, out) : new Shape(out, in);
        List<Computation> copies = new ArrayList<>();
        while (copies.size() < Rotation.copies(4L * in * out)) {
            MemorySegment memory = copies.isEmpty() ? weight : Buffers.copy(weight, arena);
            NDArray array = own.create(Buffers.of(memory), shape, DataType.FLOAT32);
            LibtorchLinear linear = new LibtorchLinear(array, choice);
            copies.add(step -> {
                x.attach(step); // the result belongs to the manager of the input
                NDArray result = linear.apply(x, false);
                x.attach(own);
                return result;
            });
        }
        return rotation(choice.toString(), copies, own, arena);
    }

    /** Scores, softmax, sums. The query heads of a key-value head are rows of one product. */
    private Subject attention(AttentionTask task) {
        NDManager own = manager.newSubManager();
        Arena arena = new Memory().arena();
        int heads = task.keyValueHeads();
        int group = task.queryHeads() / heads;
        int rows = task.rows();
        int headDim = task.headDim();
        long floats = (long) rows * task.queryHeads() * headDim;
        // [rows, heads, group, headDim] -> [heads, group * rows, headDim]
        NDArray query = own.create(
                        Buffers.of(task.query(), floats), new Shape(rows, heads, group, headDim), DataType.FLOAT32)
                .transpose(1, 2, 0, 3)
                .reshape(heads, (long) group * rows, headDim)
                .mul(task.scale());
        NDArray hidden = rows == 1 ? own.zeros(new Shape(1)) : hidden(own, rows, group);
        List<Computation> copies = new ArrayList<>();
        long bytes = 8L * heads * task.context() * headDim;
        while (copies.size() < Rotation.copies(bytes)) {
            NDArray keys = cache(own, task, task.keys(), arena).transpose(0, 2, 1);
            NDArray values = cache(own, task, task.values(), arena);
            copies.add(step -> {
                query.attach(step);
                NDArray scores = query.matMul(keys);
                NDArray result =
                        (rows == 1 ? scores : scores.addi(hidden)).softmax(-1).matMul(values);
                query.attach(own);
                // [heads, group * rows, headDim] -> [rows, heads * group, headDim]
                return rows == 1
                        ? result
                        : result.reshape((long) heads * group, rows, headDim).transpose(1, 0, 2);
            });
        }
        return rotation("matMul, softmax, matMul", copies, own, arena);
    }

    private static NDArray cache(NDManager own, AttentionTask task, Tensor tensor, Arena arena) {
        Shape shape = new Shape(task.keyValueHeads(), task.context(), task.headDim());
        MemorySegment copy = Buffers.copy(tensor.segment().asSlice(0, 4 * shape.size()), arena);
        return own.create(Buffers.of(copy), shape, DataType.FLOAT32);
    }

    /** {@code [group * rows, rows]}: what a row must not see, as an addend of its score. */
    private static NDArray hidden(NDManager own, int rows, int group) {
        float[] addends = new float[group * rows * rows];
        for (int i = 0; i < addends.length; i++) {
            addends[i] = i % rows > i / rows % rows ? Float.NEGATIVE_INFINITY : 0;
        }
        return own.create(addends, new Shape((long) group * rows, rows));
    }

    private static Subject rotation(String call, List<Computation> copies, NDManager own, Arena arena) {
        return new Rotation<>(
                call,
                copies,
                copy -> {
                    try (NDManager step = own.newSubManager()) {
                        copy.apply(step).close();
                    }
                },
                copy -> {
                    try (NDManager step = own.newSubManager()) {
                        return copy.apply(step).toFloatArray();
                    }
                },
                () -> {
                    own.close();
                    arena.close();
                });
    }

    @Override
    public void close() {
        manager.close();
    }
}
