package ai.winnow.runtime;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.architecture.Architecture;
import ai.winnow.architecture.ModelConfig;
import ai.winnow.architecture.ModelDefinition;
import ai.winnow.io.Artefact;
import ai.winnow.io.ArtefactStore;
import ai.winnow.io.SafeTensors;
import ai.winnow.io.TensorSource;
import ai.winnow.ir.Graph;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StepLimits;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.kernel.Workers;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A model with a sparsity policy, planned for this machine. Thread-safe; each thread that runs it takes a {@link Session}. Models
 * made with {@link #withPolicy} share the weights in memory.
 */
public final class SparseModel implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(SparseModel.class);
    private static final long SILENCE_NANOS = 2_000_000_000L;

    private final ModelDefinition definition;
    private final SparsityPolicy policy;
    private final ModelOptions options;
    private final Backends backends;
    private final @Nullable Path folder;
    private final Weights weights;
    private final Workers workers;
    private final StepLimits limits;
    private final Map<Phase, Graph> denseGraphs;
    private final Plan plan;
    private final String warmUpReport;

    /** Sessions that are open, and one for the model itself until it is closed; at 0 the memory goes. */
    private int users = 1;

    private boolean closed;

    /** Loads the model in {@code folder} (config.json and safetensors) with the backends and methods on the class path. */
    public static SparseModel load(Path folder, SparsityPolicy policy) {
        return load(folder, policy, ModelOptions.defaults());
    }

    /**
     * Loads the model in {@code folder} (config.json and safetensors).
     *
     * @throws ArtefactException if a file is missing or damaged
     * @throws ai.winnow.UnsupportedModelException if the architecture is not known
     * @throws ai.winnow.IncompatiblePolicyException if the policy does not fit
     */
    public static SparseModel load(Path folder, SparsityPolicy policy, ModelOptions options) {
        ModelConfig config = ModelConfig.read(folder);
        Backends backends = Backends.discover();
        return build(config, new Weights(SafeTensors.open(folder)), folder, policy, options, backends);
    }

    /** A model of tensors from anywhere; {@code source} is closed with it. */
    public static SparseModel of(
            ModelConfig config, TensorSource source, SparsityPolicy policy, ModelOptions options, Backends backends) {
        return build(config, new Weights(source), null, policy, options, backends);
    }

    private static SparseModel build(
            ModelConfig config,
            Weights weights,
            @Nullable Path folder,
            SparsityPolicy policy,
            ModelOptions options,
            Backends backends) {
        try {
            ModelDefinition definition = Architecture.define(config, weights.source(), options.weightType());
            return new SparseModel(definition, weights, folder, policy, options, backends);
        } catch (RuntimeException | Error e) {
            weights.close();
            throw e;
        }
    }

    /** Takes over one use of {@code base}, unless it throws. */
    private SparseModel(
            ModelDefinition definition,
            Weights base,
            @Nullable Path folder,
            SparsityPolicy policy,
            ModelOptions options,
            Backends backends) {
        long start = System.nanoTime();
        this.definition = definition;
        this.policy = policy;
        this.options = options;
        this.backends = backends;
        this.folder = folder;
        this.limits = limits(definition, options);
        this.denseGraphs = new EnumMap<>(Phase.class);
        denseGraphs.put(Phase.PREFILL, definition.graph(Phase.PREFILL, limits));
        denseGraphs.put(Phase.DECODE, definition.graph(Phase.DECODE, limits.forDecode()));

        Map<SparsityMethod, Artefact> artefacts = new HashMap<>();
        for (SparsityMethod method : policy.methods()) {
            artefacts.put(method, artefact(method, base));
        }
        Map<Phase, Graph> graphs = policy.apply(denseGraphs, method -> artefacts.getOrDefault(method, Artefact.EMPTY));
        this.plan = new Planner(backends, options.weightGroup()).plan(graphs);
        Map<String, Tensor> tensors = new HashMap<>();
        artefacts.values().forEach(artefact -> tensors.putAll(artefact.tensors()));
        Weights overlaid = tensors.isEmpty() ? base : base.overlay(tensors);
        Workers crew = null;
        try {
            pack(plan, overlaid);
            crew = new Workers(options.threads() == 0 ? Runtime.getRuntime().availableProcessors() : options.threads());
            this.weights = overlaid;
            this.workers = crew;
            warnIfSlow(backends);
            long loaded = System.nanoTime() - start;
            this.warmUpReport = options.warmUp() ? warmUp() : "off: the first requests will be slow";
            LOG.info(
                    "loaded {} ({} MiB of weights) in {} ms, policy {}; warm-up {}",
                    definition.family(),
                    overlaid.bytes() >> 20,
                    loaded / 1_000_000,
                    policy,
                    warmUpReport);
        } catch (RuntimeException | Error e) {
            if (crew != null) {
                crew.close();
            }
            if (overlaid != base) {
                overlaid.close();
            }
            throw e;
        }
        if (overlaid != base) {
            base.close();
        }
    }

    private static void warnIfSlow(Backends backends) {
        backends.missing()
                .forEach(missing -> LOG.warn("backend {} cannot run here: {}", missing.name(), missing.reason()));
        if (backends.ready().size() == 1) {
            LOG.warn(
                    "no fast backend is ready, everything runs on plain Java, far slower; put"
                            + " winnow-kernels-simd on the class path and start the JVM with --add-modules jdk.incubator.vector");
        }
    }

    private String warmUp() {
        try (Session session = newSession()) {
            return new WarmUp(session).run();
        }
    }

    private static StepLimits limits(ModelDefinition definition, ModelOptions options) {
        int most = definition.dimensions().maxPositions();
        if (options.contextLength() > most) {
            throw new ShapeException(
                    "a context of " + options.contextLength() + " was asked for, the model has " + most + " positions");
        }
        int context =
                options.contextLength() == 0 ? Math.min(most, ModelOptions.DEFAULT_CONTEXT) : options.contextLength();
        return new StepLimits(
                options.maxStepTokens(), options.maxSequences(), options.maxSequences(), context, options.kvType());
    }

    private Artefact artefact(SparsityMethod method, Weights base) {
        if (method.calibrator().isEmpty()) {
            return Artefact.EMPTY;
        }
        String name = method.info().name();
        Artefact given = options.artefacts().get(name);
        if (given == null) {
            Path stored = folder == null ? null : artefactFolder(folder, name);
            if (stored == null || !Files.exists(stored)) {
                throw new ArtefactException(name + " needs a calibration of this model"
                        + (stored == null ? "" : ", and there is none at " + stored)
                        + "; make one with CalibrationRun.calibrate (or `winnow calibrate`) on a few pages of text like"
                        + " what the model will see");
            }
            given = ArtefactStore.load(stored);
        }
        given.require(base.source().fingerprint());
        return given;
    }

    /** Where a model's folder keeps the artefact of {@code method}. */
    public static Path artefactFolder(Path modelFolder, String method) {
        return modelFolder.resolve("winnow").resolve(method);
    }

    /** Packs every weight that the plan reads, each once, with a line in the log if it takes long. */
    private static void pack(Plan plan, Weights weights) {
        Map<WeightRef, Set<Layout>> wanted = new LinkedHashMap<>();
        for (Plan.PhasePlan phase : plan.phases().values()) {
            for (Plan.Step step : phase.steps()) {
                for (int i = 0; i < step.layouts().size(); i++) {
                    if (step.node().input(i).origin() instanceof Value.Origin.Weight(WeightRef ref)) {
                        wanted.computeIfAbsent(ref, _ -> new LinkedHashSet<>())
                                .add(step.layouts().get(i));
                    }
                }
            }
        }
        long last = System.nanoTime();
        int done = 0;
        for (Map.Entry<WeightRef, Set<Layout>> weight : wanted.entrySet()) {
            weight.getValue().forEach(layout -> weights.get(weight.getKey(), layout));
            done++;
            if (System.nanoTime() - last > SILENCE_NANOS) {
                last = System.nanoTime();
                LOG.info("loading: {} of {} weights, {} MiB", done, wanted.size(), weights.bytes() >> 20);
            }
        }
    }

    /**
     * The same model under another policy, sharing the weights in memory. What the policy needs in another layout is read from the
     * checkpoint again. Do not interrupt the calling thread: that closes the checkpoint's files, for this model too.
     *
     * @param artefacts calibration results by method; what is not named is searched for as at {@link #load}
     */
    public SparseModel withPolicy(SparsityPolicy other, Map<String, Artefact> artefacts) {
        Weights shared = retainWeights();
        try {
            return new SparseModel(definition, shared, folder, other, options.withArtefacts(artefacts), backends);
        } catch (RuntimeException | Error e) {
            shared.close();
            throw e;
        }
    }

    private synchronized Weights retainWeights() {
        requireOpen();
        return weights.retain();
    }

    /** A session with its own memory for activations, keys and values. */
    public synchronized Session newSession() {
        requireOpen();
        Session session = new Session(this);
        users++;
        return session;
    }

    public ModelDefinition definition() {
        return definition;
    }

    public SparsityPolicy policy() {
        return policy;
    }

    public ModelOptions options() {
        return options;
    }

    /** The most that a step takes and a session holds. */
    public StepLimits limits() {
        return limits;
    }

    public Backends backends() {
        return backends;
    }

    public Plan plan() {
        return plan;
    }

    public Weights weights() {
        return weights;
    }

    /** The threads that this model's sessions share. */
    public Workers workers() {
        return workers;
    }

    /** The model's graph before the policy. */
    public Graph denseGraph(Phase phase) {
        Graph graph = denseGraphs.get(phase);
        if (graph == null) {
            throw new ShapeException("this model has no graph for " + phase + "; it has " + denseGraphs.keySet());
        }
        return graph;
    }

    /** The folder the model was loaded from, if it was. */
    public @Nullable Path folder() {
        return folder;
    }

    /** The most bytes of keys and values that a session of this model holds. */
    public long kvBytes() {
        return options.kvBytes() == 0 ? Long.MAX_VALUE : options.kvBytes();
    }

    /** Which op runs on which kernel, what was decomposed and why, and what memory it takes: text for people. */
    public String explain() {
        return new Explanation(this, warmUpReport).toString();
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("this model is closed");
        }
    }

    synchronized void sessionClosed() {
        if (--users == 0) {
            workers.close();
            weights.close();
        }
    }

    /** No new sessions from now on. The memory is freed when the last session is closed. */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            sessionClosed();
        }
    }
}
