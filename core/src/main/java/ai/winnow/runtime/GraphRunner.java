package ai.winnow.runtime;

import ai.winnow.ir.Graph;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.NativeMemory;
import ai.winnow.tensor.Storage;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** One graph by itself, on given inputs: for calibration, which runs parts of a model. Sessions run whole models. */
public final class GraphRunner implements AutoCloseable {

    private final Arena arena = Arena.ofShared();
    private final Workers workers;
    private final MemorySegment scratch;
    private final BoundGraph bound;

    /**
     * A graph on weights as {@code model} keeps them, which may be elsewhere in memory.
     *
     * @param inputs the tensor of each input of the graph, by name; read anew at each run
     */
    public GraphRunner(Graph graph, Weights weights, SparseModel model, Function<String, Tensor> inputs) {
        this(graph, weights, model.backends(), model.options().weightGroup(), model.workers(), inputs);
    }

    /** A graph without a model, with the {@link ModelOptions#defaults}' groups of I4. */
    public GraphRunner(
            Graph graph, Weights weights, Backends backends, Workers workers, Function<String, Tensor> inputs) {
        this(graph, weights, backends, ModelOptions.SMALL_GROUP, workers, inputs);
    }

    private GraphRunner(
            Graph graph,
            Weights weights,
            Backends backends,
            int weightGroup,
            Workers workers,
            Function<String, Tensor> inputs) {
        this.workers = workers;
        Plan plan = new Planner(backends, weightGroup).plan(Map.of(graph.phase(), graph));
        try {
            this.scratch = memory(arena, plan.scratchBytes());
            MemorySegment activations = memory(arena, plan.activationBytes());
            this.bound = new BoundGraph(plan.phase(graph.phase()), weights, inputs, activations);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /** Runs the graph; the outputs are valid until the next run. */
    public List<Tensor> run(@Nullable NodeObserver observer) {
        Workers.Lease lease = workers.lease();
        try {
            bound.run(new Workspace(scratch, lease), observer);
        } finally {
            workers.release(lease);
        }
        return bound.outputs();
    }

    static MemorySegment memory(Arena arena, long bytes) {
        return Storage.wrap(NativeMemory.allocate(arena, Tensor.align(bytes)), arena)
                .segment();
    }

    @Override
    public void close() {
        arena.close();
    }
}
