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
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * One graph by itself, on given inputs: for calibration, which runs parts of a model. Sessions run whole models. Used by one thread at a time; the memory of the
 * inputs must stay open until it is closed, the weights do.
 */
public final class GraphRunner implements AutoCloseable {

    private final Arena arena = Arena.ofShared();
    private final Workers workers;
    private final MemorySegment scratch;
    private final BoundGraph bound;
    private final Weights weights;
    private final AtomicBoolean busy = new AtomicBoolean();
    private boolean closed;

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
        this.weights = weights.retain();
        try {
            this.scratch = memory(arena, plan.scratchBytes());
            MemorySegment activations = memory(arena, plan.activationBytes());
            this.bound = new BoundGraph(plan.phase(graph.phase()), weights, inputs, activations);
        } catch (RuntimeException | Error e) {
            arena.close();
            weights.close();
            throw e;
        }
    }

    /** Runs the graph; the outputs are valid until the next run. */
    public List<Tensor> run(@Nullable NodeObserver observer) {
        enter();
        try {
            if (closed) {
                throw new IllegalStateException("this graph's memory is closed");
            }
            Workers.Lease lease = workers.lease();
            try {
                bound.run(new Workspace(scratch, lease), observer);
            } finally {
                workers.release(lease);
            }
            return bound.outputs();
        } finally {
            busy.set(false);
        }
    }

    private void enter() {
        if (!busy.compareAndSet(false, true)) {
            throw new IllegalStateException("this graph is in use by another thread");
        }
    }

    static MemorySegment memory(Arena arena, long bytes) {
        return Storage.wrap(NativeMemory.allocate(arena, Tensor.align(bytes)), arena)
                .segment();
    }

    @Override
    public void close() {
        enter();
        try {
            if (!closed) {
                closed = true;
                arena.close();
                weights.close();
            }
        } finally {
            busy.set(false);
        }
    }
}
