package ai.winnow.runtime;

import ai.winnow.BackendException;
import ai.winnow.ShapeException;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvRetain;
import ai.winnow.ir.PackedFormat;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StandardInputs;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.kv.KvCache;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A pool of sequences and the memory to run them. {@link #run} takes any of them together, so sequences may come and go between
 * steps. Used by one thread at a time; many sessions share one model. A step that fails leaves its sequences as they were.
 */
public final class Session implements AutoCloseable {

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;

    private final SparseModel model;
    private final Arena arena = Arena.ofShared();
    private final KvCache cache;
    private final Eviction eviction;
    private final Map<String, Tensor> inputs = new HashMap<>();
    private final Map<Phase, BoundGraph> graphs = new EnumMap<>(Phase.class);
    private final MemorySegment scratch;
    private final Tensor results;
    private final long[] serials;
    private final AtomicBoolean busy = new AtomicBoolean();
    private long nextSerial = 1;
    private boolean closed;
    private @Nullable NodeObserver observer;

    Session(SparseModel model) {
        this.model = model;
        int sequences = model.limits().maxSequences();
        int tokens = model.limits().maxTokens();
        Set<KvPlane> planes = model.plan().planes();
        KvPacking packing = model.plan().packing().orElse(null);
        this.cache = new KvCache(model.definition().kvShape(model.limits()), planes, packing, model.kvBytes());
        try {
            declare(StandardInputs.TOKENS, 1);
            declare(StandardInputs.SEQUENCES, 1);
            declare(StandardInputs.OUTPUTS, 1);
            declare("ids", tokens);
            declare("positions", tokens);
            declare("sequence", tokens);
            declare("indptr", sequences + 1);
            declare("slots", sequences);
            declare("outputRows", sequences);
            inputs.put("kv.keys", cache.keys());
            inputs.put("kv.values", cache.values());
            inputs.put("kv.table", cache.table());
            inputs.put("kv.lengths", cache.lengths());
            inputs.put(StandardInputs.Kv.SETTLED, cache.settled());
            planes.forEach(plane -> inputs.put(plane.inputName(), cache.plane(plane)));
            if (packing != null) {
                inputs.put(PackedFormat.INPUT, cache.packedPages());
            }
            Plan plan = model.plan();
            this.eviction = new Eviction(plan, cache, arena);
            inputs.put(KvRetain.inputName(), eviction.marks());
            this.scratch = GraphRunner.memory(arena, plan.scratchBytes());
            MemorySegment memory = GraphRunner.memory(arena, plan.activationBytes());
            plan.phases()
                    .forEach((phase, steps) ->
                            graphs.put(phase, new BoundGraph(steps, model.weights(), name -> input(name), memory)));
            this.results = Tensor.allocate(
                    arena, DType.F32, sequences, model.definition().dimensions().vocabSize());
            this.serials = new long[sequences];
        } catch (RuntimeException | Error e) {
            cache.close();
            arena.close();
            throw e;
        }
    }

    private void declare(String name, int size) {
        inputs.put(name, Tensor.allocate(arena, DType.I32, size));
    }

    private Tensor input(String name) {
        Tensor tensor = inputs.get(name);
        if (tensor == null) {
            throw new IllegalStateException("no session provides the input '" + name + "'");
        }
        return tensor;
    }

    public SparseModel model() {
        return model;
    }

    /**
     * A new, empty sequence.
     *
     * @throws BackendException if this session holds as many as it can
     */
    public SequenceId open() {
        return exclusively(() -> {
            int slot = cache.open();
            serials[slot] = nextSerial++;
            return new SequenceId(slot, serials[slot]);
        });
    }

    /**
     * A new sequence that has all tokens of {@code sequence}: what both have is held once, until one of them adds to it.
     *
     * @throws BackendException if this session holds as many as it can
     */
    public SequenceId fork(SequenceId sequence) {
        return exclusively(() -> {
            int slot = cache.fork(slotOf(sequence));
            serials[slot] = nextSerial++;
            return new SequenceId(slot, serials[slot]);
        });
    }

    /** Ends a sequence and frees what it held. */
    public void close(SequenceId sequence) {
        exclusively(() -> {
            cache.close(slotOf(sequence));
            serials[sequence.slot()] = 0;
            return sequence;
        });
    }

    /** How many tokens the sequence has. */
    public int length(SequenceId sequence) {
        return exclusively(() -> cache.length(slotOf(sequence)));
    }

    /** Takes the sequence back to its first {@code length} tokens. */
    public void truncate(SequenceId sequence, int length) {
        exclusively(() -> {
            cache.truncate(slotOf(sequence), length);
            return sequence;
        });
    }

    /**
     * Bytes of the cache's pages that a sequence has: keys, values and what is kept beside them. Pages that it shares with a fork count for both.
     */
    public long kvBytes(SequenceId sequence) {
        return exclusively(() -> cache.bytes(slotOf(sequence)));
    }

    /** How many pages of the cache can be taken. */
    public int freePages() {
        return cache.freePages();
    }

    /** Shows every node that runs from now on to {@code newObserver}; null ends it. */
    public void observe(@Nullable NodeObserver newObserver) {
        this.observer = newObserver;
    }

    /**
     * Runs the next tokens of some sequences. In {@link Phase#DECODE} that is one of each; in {@link Phase#PREFILL} any number, run
     * in pieces if there are more than a step takes.
     *
     * @return the logits after the last token of each sequence
     * @throws ShapeException if a token is not in the vocabulary, or a sequence has several in DECODE; nothing has changed then
     * @throws BackendException if there is no room, or the model's result is not finite; nothing has changed then
     */
    public Logits run(Phase phase, Batch batch) {
        return exclusively(() -> {
            BoundGraph graph = graphs.get(phase);
            if (graph == null) {
                throw new ShapeException("this model has no graph for " + phase + "; it has " + graphs.keySet());
            }
            Step step = new Step(phase, batch.entries());
            cache.reserve(step.slots, step.lengths);
            boolean done = false;
            try {
                AttentionStep event = new AttentionStep();
                Logits logits =
                        event.isEnabled() ? recorded(event, phase, graph, step) : run(phase, graph, step, observer);
                done = true;
                return logits;
            } finally {
                if (!done) {
                    for (int i = 0; i < step.slots.length; i++) {
                        cache.truncate(step.slots[i], step.starts[i]);
                    }
                }
            }
        });
    }

    private Logits recorded(AttentionStep event, Phase phase, BoundGraph graph, Step step) {
        KvTraffic traffic = new KvTraffic(this);
        NodeObserver other = observer;
        event.begin();
        Logits logits = run(phase, graph, step, (node, operands) -> {
            traffic.after(node, operands);
            if (other != null) {
                other.after(node, operands);
            }
        });
        event.end();
        event.phase = phase.name();
        event.sequences = step.slots.length;
        event.rows = Arrays.stream(step.lengths).sum();
        event.bytesRead = Math.round(traffic.bytes());
        event.bytesDense = Math.round(traffic.denseBytes());
        event.droppedRows = step.dropped;
        event.freePages = cache.freePages();
        event.commit();
        return logits;
    }

    /** A batch on its way through one or more runs of a graph. */
    private final class Step {
        final int[] slots;
        final int[] lengths;
        final int[] starts;
        final int[][] tokens;

        /** Rows of the cache that were dropped when it had succeeded. */
        long dropped;

        Step(Phase phase, List<Batch.Entry> entries) {
            int count = entries.size();
            slots = new int[count];
            lengths = new int[count];
            starts = new int[count];
            tokens = new int[count][];
            int vocabSize = model.definition().dimensions().vocabSize();
            for (int i = 0; i < count; i++) {
                Batch.Entry entry = entries.get(i);
                slots[i] = slotOf(entry.sequence());
                tokens[i] = entry.tokens();
                lengths[i] = tokens[i].length;
                starts[i] = cache.length(slots[i]);
                if (phase == Phase.DECODE && lengths[i] != 1) {
                    throw new ShapeException("DECODE takes one token of each sequence, sequence " + i
                            + " of the batch has " + lengths[i]);
                }
                for (int token : tokens[i]) {
                    if (token < 0 || token >= vocabSize) {
                        throw new ShapeException("sequence " + i + " of the batch has token " + token
                                + "; the vocabulary has " + vocabSize);
                    }
                }
            }
        }
    }

    private Logits run(Phase phase, BoundGraph graph, Step step, @Nullable NodeObserver seen) {
        int[] done = new int[step.slots.length];
        int finished = 0;
        boolean whole = Arrays.stream(step.lengths).sum() <= model.limits().maxTokens();
        Logits logits = null;
        while (finished < done.length) {
            int firstResult = finished;
            int[] before = done.clone();
            finished = fill(step, done, finished, eviction.probes(phase));
            compute(graph, seen);
            for (int i = 0; i < done.length; i++) {
                cache.advance(step.slots[i], done[i] - before[i]);
            }
            logits = take(graph, firstResult, finished, whole);
        }
        step.dropped = eviction.after(phase, step.slots);
        for (int slot : step.slots) {
            cache.pack(slot);
        }
        return Objects.requireNonNull(logits);
    }

    /**
     * Fills the inputs with as many of the next tokens as a run takes.
     *
     * @param done tokens of each sequence that are behind us; raised by those filled in
     * @param finished sequences that are wholly behind us: always the first ones
     * @param probes rows that the last piece of a sequence should have, if it has as many
     * @return how many are wholly behind us after this run
     */
    private int fill(Step step, int[] done, int finished, int probes) {
        MemorySegment indptr = segment("indptr");
        int row = 0;
        int sequences = 0;
        int now = finished;
        int room = model.limits().maxTokens();
        for (int i = finished; i < done.length && row < room; i++) {
            int rest = step.lengths[i] - done[i];
            int count = Math.min(rest, room - row);
            if (count < rest) {
                count = Math.min(count, rest - Math.min(Math.min(probes, room), step.lengths[i]));
            }
            if (count <= 0) {
                break; // what is left of it fits the next run whole
            }
            indptr.setAtIndex(INT, sequences, row);
            segment("slots").setAtIndex(INT, sequences, step.slots[i]);
            for (int j = 0; j < count; j++, row++) {
                segment("ids").setAtIndex(INT, row, step.tokens[i][done[i] + j]);
                segment("positions").setAtIndex(INT, row, step.starts[i] + done[i] + j);
                segment("sequence").setAtIndex(INT, row, sequences);
            }
            done[i] += count;
            sequences++;
            if (done[i] < step.lengths[i]) {
                break; // those behind it wait: sequences end in their order
            }
            segment("outputRows").setAtIndex(INT, now - finished, row - 1);
            now++;
        }
        indptr.setAtIndex(INT, sequences, row);
        segment(StandardInputs.TOKENS).setAtIndex(INT, 0, row);
        segment(StandardInputs.SEQUENCES).setAtIndex(INT, 0, sequences);
        segment(StandardInputs.OUTPUTS).setAtIndex(INT, 0, now - finished);
        return now;
    }

    /** How many positions the sequence in {@code slot} has, also while a step runs. */
    int positions(int slot) {
        return cache.length(slot);
    }

    private void compute(BoundGraph graph, @Nullable NodeObserver seen) {
        Workers.Lease lease = model.workers().lease();
        try {
            graph.run(new Workspace(scratch, lease), seen);
        } finally {
            model.workers().release(lease);
        }
    }

    /** The logits of a run, after a look at what is beneath them; gathered in one place if there are several runs. */
    private Logits take(BoundGraph graph, int from, int to, boolean whole) {
        Tensor logits = graph.outputs().get(0);
        requireFinite(graph.outputs().get(1), to - from);
        if (whole) {
            return new Logits(logits, to);
        }
        long rowBytes = 4 * results.shape().max(1);
        MemorySegment.copy(logits.segment(), 0, results.segment(), from * rowBytes, (to - from) * rowBytes);
        return new Logits(results, to);
    }

    private static void requireFinite(Tensor hidden, int rows) {
        long count = rows * hidden.shape().max(1);
        MemorySegment segment = hidden.segment();
        for (long i = 0; i < count; i++) {
            if (!Float.isFinite(segment.getAtIndex(ValueLayout.JAVA_FLOAT, i))) {
                throw new BackendException("the last hidden state of sequence "
                        + i / hidden.shape().max(1)
                        + " of this step is not finite; the step was undone. The weights or a policy's artefact do not fit"
                        + " this model, or a value overflowed");
            }
        }
    }

    private MemorySegment segment(String name) {
        return input(name).segment();
    }

    private int slotOf(SequenceId sequence) {
        if (sequence.slot() < 0 || sequence.slot() >= serials.length || serials[sequence.slot()] != sequence.serial()) {
            throw new IllegalArgumentException(sequence + " is not open in this session");
        }
        return sequence.slot();
    }

    private <T> T exclusively(Supplier<T> action) {
        if (!busy.compareAndSet(false, true)) {
            throw new IllegalStateException(
                    "this session is in use by another thread; give each thread its own session of the model");
        }
        try {
            if (closed) {
                throw new IllegalStateException("this session is closed");
            }
            return action.get();
        } finally {
            busy.set(false);
        }
    }

    /** Frees the memory. Logits that were returned are no longer valid. */
    @Override
    public void close() {
        if (!busy.compareAndSet(false, true)) {
            throw new IllegalStateException("this session is in use by another thread");
        }
        try {
            if (!closed) {
                closed = true;
                cache.close();
                arena.close();
                model.sessionClosed();
            }
        } finally {
            busy.set(false);
        }
    }
}
