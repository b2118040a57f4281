package ai.winnow.reference;

import ai.winnow.ShapeException;
import ai.winnow.ir.Fused;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.Node;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Operands.Operand;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Runs a graph node by node, without a planner: every composite op is decomposed until only primitives and defined ops remain.
 * This is what a graph means; whatever is faster is compared with it.
 *
 * <p>Every tensor is made at the size it has in this run: a varying axis becomes a fixed one as soon as its extent is known. An
 * extent is the value of that name (an I32 of one element: a graph input or made by a node); if there is none, the rows of the
 * first input tensor that varies by it.
 */
public final class Interpreter {

    private final Phase phase;
    private final Function<WeightRef, Tensor> weights;
    private final Arena arena;
    private final Map<Integer, Tensor> values = new HashMap<>();
    private final Map<String, MemorySegment> extents;

    private Interpreter(
            Phase phase, Function<WeightRef, Tensor> weights, Arena arena, Map<String, MemorySegment> extents) {
        this.phase = phase;
        this.weights = weights;
        this.arena = arena;
        this.extents = new HashMap<>(extents);
    }

    /**
     * Runs {@code graph}.
     *
     * @param inputs by name, row-major, with as many rows as the graph declares or as there are now; inputs that no node reads may
     *     be missing. Ops that write state write into these tensors
     * @param weights gives each weight row-major
     * @param arena what the results are allocated in
     * @return the graph's outputs, in order, with fixed axes of the size they have in this run
     */
    public static List<Tensor> run(
            Graph graph, Map<String, Tensor> inputs, Function<WeightRef, Tensor> weights, Arena arena) {
        try (Arena scratch = Arena.ofConfined()) {
            Interpreter interpreter = new Interpreter(graph.phase(), weights, scratch, Map.of());
            interpreter.bindInputs(graph, inputs);
            return interpreter.run(graph, arena);
        }
    }

    /** Runs one op on {@code inputs}; a varying axis has as many rows as its tensor. */
    public static List<Tensor> evaluate(Op op, List<Tensor> inputs, Arena arena) {
        return evaluate(op, inputs, Map.of(), arena);
    }

    /** Runs one op on {@code inputs}, of which those that vary have as many rows as {@code extents} says. */
    public static List<Tensor> evaluate(Op op, List<Tensor> inputs, Map<String, Integer> extents, Arena arena) {
        GraphBuilder builder = new GraphBuilder(Phase.PREFILL);
        List<Value> operands = new ArrayList<>();
        Map<String, Tensor> byName = new HashMap<>();
        for (int i = 0; i < inputs.size(); i++) {
            String name = "operand " + i;
            operands.add(builder.input(name, inputs.get(i).spec()));
            byName.put(name, inputs.get(i));
        }
        extents.forEach((name, rows) -> {
            builder.input(name, TensorSpec.of(DType.I32, 1));
            byName.put(name, Tensor.copyOf(arena, new int[] {rows}, 1));
        });
        Graph graph = builder.build(builder.add(op, Site.global(Role.OTHER), operands));
        return run(graph, byName, Interpreter::noWeight, arena);
    }

    private static Tensor noWeight(WeightRef ref) {
        throw new IllegalArgumentException("one op alone has no weight '" + ref.name() + "'; pass it as an input");
    }

    private void bindInputs(Graph graph, Map<String, Tensor> inputs) {
        for (Value value : graph.inputs()) { // extents first: they say how many rows the others have
            Tensor tensor = inputs.get(value.name());
            if (tensor != null && isExtent(value.spec())) {
                extents.put(value.name(), tensor.segment());
            }
        }
        for (Value value : graph.inputs()) {
            Tensor tensor = inputs.get(value.name());
            if (tensor != null) {
                requireFits(value, tensor);
                if (value.spec().shape().rowDim() instanceof Dim.AtMost dim) {
                    int rows = Math.toIntExact(tensor.shape().rowDim().max());
                    extents.computeIfAbsent(dim.extent(), name -> count(rows));
                }
                values.put(value.id(), resized(tensor, resolve(value.spec())));
            }
        }
    }

    /** Runs all nodes and copies the outputs to {@code target}. */
    private List<Tensor> run(Graph graph, Arena target) {
        for (Node node : graph.nodes()) {
            List<Tensor> inputs = node.inputs().stream().map(this::read).toList();
            List<Tensor> made =
                    switch (node.op()) {
                        case Primitive primitive -> compute(ReferenceProvider.of(primitive), node, inputs);
                        case Fused.Defined defined -> compute(defined::evaluate, node, inputs);
                        case Fused.Composite composite -> decompose(composite, node, inputs);
                    };
            for (int i = 0; i < made.size(); i++) {
                bind(node.outputs().get(i), made.get(i));
            }
        }
        return graph.outputs().stream().map(value -> copy(read(value), target)).toList();
    }

    private void bind(Value value, Tensor tensor) {
        if (isExtent(value.spec())) {
            extents.put(value.name(), tensor.segment());
        }
        values.put(value.id(), tensor);
    }

    private List<Tensor> decompose(Fused.Composite op, Node node, List<Tensor> inputs) {
        GraphBuilder builder = new GraphBuilder(phase);
        List<Value> operands = node.inputs().stream()
                .map(value -> builder.input(value.name(), value.spec()))
                .toList();
        List<Value> results = op.decompose(builder, operands);
        List<TensorSpec> expected = node.outputs().stream().map(Value::spec).toList();
        List<TensorSpec> found = results.stream().map(Value::spec).toList();
        if (!found.equals(expected)) {
            throw new ShapeException(node + " makes " + expected + " but decomposes into ops that make " + found);
        }
        try (Arena scratch = Arena.ofConfined()) {
            Interpreter inner = new Interpreter(phase, weights, scratch, extents);
            for (int i = 0; i < inputs.size(); i++) {
                inner.values.put(operands.get(i).id(), inputs.get(i));
            }
            return inner.run(builder.build(results), arena);
        }
    }

    private List<Tensor> compute(Computation computation, Node node, List<Tensor> inputs) {
        List<Tensor> made = new ArrayList<>();
        for (Value value : node.outputs()) {
            made.add(Tensor.allocate(arena, resolve(value.spec()), Layout.ROW_MAJOR));
        }
        List<Operand> outputs = new ArrayList<>();
        for (Tensor tensor : made) {
            outputs.add(new Operand(tensor, extentMadeBy(node, made, tensor.spec())));
        }
        computation.run(new Operands(inputs.stream().map(Operand::fixed).toList(), outputs));
        return outputs.stream().map(Interpreter::trimmed).toList();
    }

    /** If {@code spec} still varies, the output of {@code node} that says how much. */
    private static @Nullable MemorySegment extentMadeBy(Node node, List<Tensor> made, TensorSpec spec) {
        if (spec.shape().rowDim() instanceof Dim.AtMost dim) {
            for (int i = 0; i < made.size(); i++) {
                if (node.outputs().get(i).name().equals(dim.extent())) {
                    return made.get(i).segment();
                }
            }
            throw new ShapeException(node + " makes " + spec + ", but no value is named '" + dim.extent() + "'");
        }
        return null;
    }

    private static Tensor trimmed(Operand output) {
        MemorySegment extent = output.extent();
        Tensor tensor = output.tensor();
        return extent == null ? tensor : resized(tensor, fixed(tensor.spec(), extent.get(ValueLayout.JAVA_INT, 0)));
    }

    private Tensor read(Value value) {
        if (value.origin() instanceof Value.Origin.Weight weight) {
            Tensor tensor = weights.apply(weight.ref());
            requireFits(value, tensor);
            return tensor;
        }
        Tensor tensor = values.get(value.id());
        if (tensor == null) {
            throw new ShapeException("the graph reads its input " + value + ", which was not given");
        }
        return tensor;
    }

    private MemorySegment count(int rows) {
        return Tensor.copyOf(arena, new int[] {rows}, 1).segment();
    }

    /** {@code spec} with the size its varying axis has in this run, if that is known already. */
    private TensorSpec resolve(TensorSpec spec) {
        if (spec.shape().rowDim() instanceof Dim.AtMost dim) {
            MemorySegment extent = extents.get(dim.extent());
            if (extent != null) {
                int rows = extent.get(ValueLayout.JAVA_INT, 0);
                if (rows < 0 || rows > dim.max()) {
                    throw new ShapeException("'" + dim.extent() + "' is " + rows + ", expected 0 to " + dim.max());
                }
                return fixed(spec, rows);
            }
        }
        return spec;
    }

    private static TensorSpec fixed(TensorSpec spec, int rows) {
        List<Dim> dims = new ArrayList<>(spec.shape().dims());
        dims.set(0, Dim.of(rows));
        return spec.withShape(new Shape(dims));
    }

    private static Tensor resized(Tensor tensor, TensorSpec spec) {
        return new Tensor(spec, tensor.layout(), tensor.storage());
    }

    private static Tensor copy(Tensor tensor, Arena target) {
        Tensor copy = Tensor.allocate(target, tensor.spec(), Layout.ROW_MAJOR);
        MemorySegment.copy(tensor.segment(), 0, copy.segment(), 0, tensor.spec().maxBytes());
        return copy;
    }

    private static boolean isExtent(TensorSpec spec) {
        return spec.equals(TensorSpec.of(DType.I32, 1));
    }

    private static void requireFits(Value value, Tensor tensor) {
        Shape expected = value.spec().shape();
        Shape found = tensor.shape();
        boolean fits = value.spec().dtype() == tensor.dtype()
                && tensor.layout().equals(Layout.ROW_MAJOR)
                && expected.rank() == found.rank()
                && expected.rowElements() == found.rowElements()
                && (expected.rowDim() instanceof Dim.AtMost
                        || expected.rowDim().max() == found.rowDim().max());
        if (!fits) {
            throw new ShapeException(value + " in row-major was given " + tensor.spec() + " in " + tensor.layout());
        }
    }
}
