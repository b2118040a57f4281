package ai.winnow.contract;

import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.WeightStructure;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.reference.Interpreter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Operands.Operand;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * One op with its operands, declared once: the reference's result, the kernels' contract and the benchmarks all come from it.
 *
 * @param name unique in its catalogue
 * @param operands the op's inputs, in order
 * @param extents how many rows each varying axis has now, by its extent's name
 * @param tolerance how far the first result may lie off; state must be the same bits
 * @param reading the numbers that results mean
 */
public record OpCase(
        String name,
        Op op,
        Phase phase,
        List<Given> operands,
        Map<String, Integer> extents,
        Tolerance tolerance,
        Reading reading) {

    /** What results mean, where that is not all of their elements: what lies behind the end of a list means nothing. */
    @FunctionalInterface
    public interface Reading {
        /** A tensor of what {@code results} mean, in {@code arena}, for each. */
        List<Tensor> of(List<Tensor> results, Arena arena);
    }

    /** A case whose results are all of their elements. */
    public OpCase(
            String name, Op op, Phase phase, List<Given> operands, Map<String, Integer> extents, Tolerance tolerance) {
        this(name, op, phase, operands, extents, tolerance, (results, arena) -> results);
    }

    /** What an operand is for. */
    public enum Kind {
        /** Changes with every step; row-major. */
        ACTIVATION,
        /** Never changes; lies as the kernel prefers. */
        WEIGHT,
        /** Outlives the step and may be written; as many rows as there are now are allocated. */
        STATE
    }

    /** One operand: what it is, what is in it, and what is known of its zeros. */
    public record Given(TensorSpec spec, Kind kind, Fill fill, WeightStructure structure) {
        public Given(TensorSpec spec, Kind kind, Fill fill) {
            this(spec, kind, fill, WeightStructure.dense());
        }
    }

    public OpCase {
        operands = List.copyOf(operands);
        extents = Map.copyOf(extents);
    }

    /** What a planner would ask for. */
    public KernelRequest request() {
        List<TensorSpec> specs = operands.stream().map(Given::spec).toList();
        List<Boolean> weights =
                operands.stream().map(given -> given.kind() == Kind.WEIGHT).toList();
        List<WeightStructure> structures =
                operands.stream().map(Given::structure).toList();
        return new KernelRequest(op, Site.of(1, Role.OTHER), phase, specs, weights, op.infer(specs), structures);
    }

    /** The operands, row-major; weights as f32, to be packed by {@link PackedWeight}. */
    public List<Tensor> inputs(long seed, Arena arena) {
        List<Tensor> tensors = new ArrayList<>();
        for (int i = 0; i < operands.size(); i++) {
            Given given = operands.get(i);
            Tensor tensor = Tensor.allocate(arena, allocated(given), Layout.ROW_MAJOR);
            given.fill().fill(tensor, new SplittableRandom(seed * 31 + i));
            long used =
                    tensor.dtype().bytes(rows(tensor.spec()) * tensor.shape().rowElements());
            tensor.segment().asSlice(used).fill((byte) 0xFF); // rows that are not there now are NaN, or -1
            tensors.add(tensor);
        }
        return tensors;
    }

    private TensorSpec allocated(Given given) {
        return switch (given.kind()) {
            case ACTIVATION -> given.spec();
            case WEIGHT ->
                given.spec().dtype().isFloat()
                                || given.spec().dtype() == DType.I8
                                || given.spec().dtype() == DType.I4
                        ? given.spec().withDType(DType.F32)
                        : given.spec();
            case STATE -> PackedWeight.withRows(given.spec(), rows(given.spec()));
        };
    }

    /** What the op means: its outputs for {@code inputs}, with as many rows as there are now. State is written into the inputs. */
    public List<Tensor> reference(List<Tensor> inputs, Arena arena) {
        return Interpreter.evaluate(op, inputs, extents, arena);
    }

    /** The operands as a kernel gets them; how many rows there are now is read from memory in {@code arena}. */
    public Operands bind(List<Tensor> inputs, List<Tensor> outputs, Arena arena) {
        Map<String, MemorySegment> counts = new HashMap<>();
        extents.forEach((name, rows) ->
                counts.put(name, Tensor.copyOf(arena, new int[] {rows}, 1).segment()));
        return new Operands(
                inputs.stream().map(tensor -> bind(tensor, counts)).toList(),
                outputs.stream().map(tensor -> bind(tensor, counts)).toList());
    }

    private static Operand bind(Tensor tensor, Map<String, MemorySegment> counts) {
        return tensor.shape().rowDim() instanceof Dim.AtMost dim
                ? new Operand(tensor, counts.get(dim.extent()))
                : Operand.fixed(tensor);
    }

    /** Rows that a tensor of {@code spec} has now. */
    public int rows(TensorSpec spec) {
        return spec.shape().rowDim() instanceof Dim.AtMost dim
                ? extents.getOrDefault(dim.extent(), Math.toIntExact(dim.max()))
                : Math.toIntExact(spec.shape().rowDim().max());
    }

    /** Whether it has a weight of a size that is in the catalogue for kernels that cut it into tiles and share it among threads. */
    public boolean isWorthThreads() {
        return operands.stream()
                .anyMatch(given ->
                        given.kind() == Kind.WEIGHT && given.spec().shape().maxElements() > 1 << 17);
    }

    /**
     * Bytes of all operands as they are now, read or written once: what a benchmark divides by its time.
     *
     * @param layouts the layout of each input
     */
    public long bytes(List<Layout> layouts) {
        long total = 0;
        for (int i = 0; i < operands.size(); i++) {
            TensorSpec spec = operands.get(i).spec();
            total += layouts.get(i).bytes(PackedWeight.withRows(spec, rows(spec)));
        }
        for (TensorSpec spec : request().outputs()) {
            total += PackedWeight.withRows(spec, rows(spec)).maxBytes();
        }
        return total;
    }

    @Override
    public String toString() {
        return name;
    }
}
