package ai.winnow.contract;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.NativeMemory;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Storage;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.stream.IntStream;

/**
 * An {@link OpCase} in memory with a kernel to run on it.
 *
 * @param inputs the operands as the kernel reads them
 * @param meant the operands as the reference reads them: weights as the f32 numbers that the packed ones stand for. State is a
 *     copy of its own
 * @param outputs allocated with guards around them
 * @param scratch what the kernel asked for, filled with garbage
 */
public record PreparedCase(
        OpCase declared,
        Kernel kernel,
        List<Tensor> inputs,
        List<Tensor> meant,
        List<Guarded> outputs,
        Operands operands,
        MemorySegment scratch) {

    /** A tensor in the middle of memory that nobody may write to. */
    public record Guarded(Tensor tensor, MemorySegment whole) {
        private static final byte GUARD = (byte) 0xA5;

        static Guarded allocate(TensorSpec spec, Arena arena) {
            long bytes = spec.maxBytes();
            MemorySegment whole = NativeMemory.allocate(arena, bytes + 2 * Tensor.ALIGNMENT);
            whole.fill(GUARD);
            MemorySegment inner = whole.asSlice(Tensor.ALIGNMENT, Math.max(bytes, 1));
            return new Guarded(new Tensor(spec, Layout.ROW_MAJOR, Storage.wrap(inner, arena)), whole);
        }

        /** Makes everything garbage again. */
        public void clear() {
            whole.fill(GUARD);
        }

        /** The first byte outside the first {@code rows} rows that was written, counted from the tensor's start; or none. */
        public OptionalLong firstWrittenOutside(int rows) {
            TensorSpec spec = tensor.spec();
            long end = Tensor.ALIGNMENT + spec.dtype().bytes(rows * spec.shape().rowElements());
            for (long at = 0; at < whole.byteSize(); at++) {
                boolean inside = Tensor.ALIGNMENT <= at && at < end;
                if (!inside && whole.get(ValueLayout.JAVA_BYTE, at) != GUARD) {
                    return OptionalLong.of(at - Tensor.ALIGNMENT);
                }
            }
            return OptionalLong.empty();
        }
    }

    /** Fills the operands from {@code seed} and packs the weights. */
    public static PreparedCase of(
            OpCase declared, Support.Supported support, List<Layout> layouts, long seed, Arena arena) {
        return of(declared, support, layouts, declared.inputs(seed, arena), arena);
    }

    /** Packs the weights among {@code values}, the operands as {@link OpCase#inputs} makes them. */
    public static PreparedCase of(
            OpCase declared, Support.Supported support, List<Layout> layouts, List<Tensor> values, Arena arena) {
        List<Tensor> inputs = new ArrayList<>();
        List<Tensor> meant = new ArrayList<>();
        for (int i = 0; i < values.size(); i++) {
            OpCase.Given given = declared.operands().get(i);
            switch (given.kind()) {
                case ACTIVATION -> {
                    inputs.add(values.get(i));
                    meant.add(values.get(i));
                }
                case WEIGHT -> {
                    PackedWeight weight =
                            PackedWeight.of(values.get(i), given.spec().dtype(), layouts.get(i), arena);
                    inputs.add(weight.packed());
                    meant.add(weight.meaning());
                }
                case STATE -> {
                    inputs.add(copy(values.get(i), arena));
                    meant.add(copy(values.get(i), arena));
                }
            }
        }
        Kernel kernel = support.factory().create(layouts);
        List<Guarded> outputs = declared.request().outputs().stream()
                .map(spec -> Guarded.allocate(spec, arena))
                .toList();
        Operands operands =
                declared.bind(inputs, outputs.stream().map(Guarded::tensor).toList(), arena);
        MemorySegment scratch = NativeMemory.allocate(arena, kernel.workspaceBytes());
        scratch.fill((byte) 0xFF); // NaN, or -1: a kernel that reads before it writes is found out
        return new PreparedCase(
                declared,
                kernel,
                inputs,
                meant,
                outputs,
                operands,
                Storage.wrap(scratch, arena).segment());
    }

    /** The same once more in other memory: what is read and written is copied, what is meant and the scratch are shared. */
    public PreparedCase copy(Arena arena) {
        List<Tensor> copies = new ArrayList<>();
        for (Tensor input : inputs) {
            Tensor copy = Tensor.allocate(arena, input.spec(), input.layout());
            MemorySegment.copy(
                    input.segment(), 0, copy.segment(), 0, input.layout().bytes(input.spec()));
            copies.add(copy);
        }
        List<Guarded> results = declared.request().outputs().stream()
                .map(spec -> Guarded.allocate(spec, arena))
                .toList();
        Operands bound =
                declared.bind(copies, results.stream().map(Guarded::tensor).toList(), arena);
        return new PreparedCase(declared, kernel, copies, meant, results, bound, scratch);
    }

    /** All combinations of the layouts that {@code support} offers for the case's operands. */
    public static List<List<Layout>> layouts(OpCase declared, Support.Supported support) {
        List<List<Layout>> combinations = List.of(List.of());
        for (int i = 0; i < declared.operands().size(); i++) {
            List<Layout> offered = support.layouts(i);
            combinations = combinations.stream()
                    .flatMap(begun -> offered.stream().map(layout -> {
                        List<Layout> longer = new ArrayList<>(begun);
                        longer.add(layout);
                        return longer;
                    }))
                    .map(List::copyOf)
                    .toList();
        }
        return combinations;
    }

    /** Runs the kernel with {@code workers}. */
    public void run(Workers workers) {
        Workers.Lease lease = workers.lease();
        try {
            kernel.run(operands, new Workspace(scratch, lease));
        } finally {
            workers.release(lease);
        }
    }

    /** What a run leaves behind: what the outputs mean, then the state. */
    public List<Tensor> results() {
        List<Tensor> written = outputs.stream().map(Guarded::tensor).toList();
        List<Tensor> results = new ArrayList<>(declared.reading().of(written, Arena.ofAuto()));
        results.addAll(state(declared, inputs));
        return results;
    }

    static List<Tensor> state(OpCase declared, List<Tensor> inputs) {
        return IntStream.range(0, inputs.size())
                .filter(i -> declared.operands().get(i).kind() == OpCase.Kind.STATE)
                .mapToObj(inputs::get)
                .toList();
    }

    static Tensor copy(Tensor tensor, Arena arena) {
        Tensor copy = Tensor.allocate(arena, tensor.spec(), Layout.ROW_MAJOR);
        MemorySegment.copy(tensor.segment(), 0, copy.segment(), 0, tensor.spec().maxBytes());
        return copy;
    }
}
