package ai.winnow.calibrate;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.LayerGraph;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.method.Calibration;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Measures a dense model for methods. The model's own session runs the data, so whatever backend serves the model also calibrates
 * it, and of the data only the rows of one layer are kept at a time.
 */
public final class CalibrationRun implements Calibration, AutoCloseable {

    private final SparseModel model;
    private final CalibrationData data;
    private final Map<Phase, Graph> graphs = new EnumMap<>(Phase.class);
    private final Arena arena = Arena.ofAuto();
    private final List<CalibrationRun> under = new ArrayList<>();
    private final boolean ownsModel;
    private final Progress progress = new Progress();
    private @Nullable LayerReplay replay;

    private CalibrationRun(SparseModel model, boolean ownsModel, CalibrationData data, Artefact artefact) {
        this.model = model;
        this.ownsModel = ownsModel;
        this.data = data;
        for (Phase phase : List.of(Phase.PREFILL, Phase.DECODE)) {
            graphs.put(phase, model.denseGraph(phase));
        }
        graphs.putAll(model.policy().apply(graphs, method -> artefact));
    }

    /**
     * Calibrates {@code method} on a dense model.
     *
     * @return {@link Artefact#EMPTY} if the method measures nothing
     * @throws ai.winnow.ShapeException if the data do not fit the model
     * @throws IncompatiblePolicyException if {@code dense} has a policy
     */
    public static Artefact calibrate(SparseModel dense, SparsityMethod method, CalibrationData data) {
        Artefact made = calibrate(dense, SparsityPolicy.of(method), data)
                .get(method.info().name());
        return made == null ? Artefact.EMPTY : made;
    }

    /**
     * Calibrates the methods of {@code policy} that measure something, each on the dense model, and returns what they made by
     * their names: what {@link SparseModel#withPolicy} takes.
     *
     * @throws ai.winnow.ShapeException if the data do not fit the model
     * @throws IncompatiblePolicyException if {@code dense} has a policy
     */
    public static Map<String, Artefact> calibrate(SparseModel dense, SparsityPolicy policy, CalibrationData data) {
        if (!dense.policy().methods().isEmpty()) {
            throw new IncompatiblePolicyException("calibration looks at the dense model, this one has the policy "
                    + dense.policy() + "; load it with SparsityPolicy.dense()");
        }
        data.requireFit(
                dense.definition().dimensions().vocabSize(), dense.limits().contextLength());
        Map<String, Artefact> artefacts = new LinkedHashMap<>();
        try (CalibrationRun run = new CalibrationRun(dense, false, data, Artefact.EMPTY)) {
            for (SparsityMethod method : policy.methods()) {
                Optional<Calibrator> calibrator = method.calibrator();
                if (calibrator.isPresent()) {
                    Map<String, Tensor> tensors = calibrator.get().calibrate(run);
                    artefacts.put(method.info().name(), run.artefact(method, tensors));
                }
            }
        }
        return artefacts;
    }

    private Artefact artefact(SparsityMethod method, Map<String, Tensor> tensors) {
        TreeMap<String, String> parameters = new TreeMap<>();
        parameters.put("spec", method.spec());
        parameters.put("windows", Integer.toString(data.windows().size()));
        parameters.put("tokens", Long.toString(data.tokens()));
        return new Artefact(
                method.info().name(),
                parameters,
                model.weights().source().fingerprint(),
                data.fingerprint(),
                Instant.now().truncatedTo(ChronoUnit.SECONDS),
                tensors);
    }

    @Override
    public int layers() {
        return model.definition().dimensions().numHiddenLayers();
    }

    @Override
    public Graph graph(Phase phase) {
        Graph graph = graphs.get(phase);
        if (graph == null) {
            throw new IllegalArgumentException("there is no graph for " + phase + ", only for " + graphs.keySet());
        }
        return graph;
    }

    @Override
    public Arena arena() {
        return arena;
    }

    @Override
    public void observe(Map<Probe, Observer> observers) {
        CalibrationPass event = new CalibrationPass();
        event.begin();
        Taps taps = new Taps(model.plan().phase(Phase.PREFILL).graph(), observers);
        try (Session session = model.newSession()) {
            session.observe(taps);
            for (int i = 0; i < data.windows().size(); i++) {
                SequenceId sequence = session.open();
                session.run(Phase.PREFILL, Batch.of(sequence, data.windows().get(i)));
                session.close(sequence);
                observers.values().forEach(Observer::windowEnds);
                progress.at("observing windows", i + 1, data.windows().size());
            }
        }
        event.end();
        if (event.shouldCommit()) {
            event.windows = data.windows().size();
            event.tokens = data.tokens();
            event.observed = observers.size();
            event.commit();
        }
    }

    @Override
    public Tensor weight(WeightRef ref, Arena target) {
        try (Arena temporary = Arena.ofShared()) {
            Tensor source = model.weights().load(ref, temporary);
            Tensor copy = Tensor.allocate(target, source.spec().withDType(DType.F32), Layout.ROW_MAJOR);
            long count = source.shape().maxElements();
            for (long i = 0; i < count; i++) {
                DType.F32.setFloat(copy.segment(), i, source.getFloat(i));
            }
            return copy;
        }
    }

    @Override
    public double layerError(int layer, UnaryOperator<Graph> change, double lastFraction) {
        progress.at("running layers by themselves", layer, layers());
        return replay(layer).error(change, lastFraction);
    }

    private LayerReplay replay(int layer) {
        LayerReplay known = replay;
        if (known != null && known.layer() == layer) {
            return known;
        }
        LayerGraph part = graph(Phase.PREFILL).layer(layer);
        // After the layer before, what left that one is what enters this one.
        boolean next = known != null && known.part().leaving().equals(part.entering());
        List<Rows> entering = known != null && next ? known.takeLeaving() : record(part.entering());
        if (known != null) {
            known.close();
        }
        LayerReplay now = new LayerReplay(model, layer, part, data, entering);
        replay = now;
        now.runUnchanged();
        return now;
    }

    private List<Rows> record(List<Value> values) {
        Map<Probe, Observer> observers = new LinkedHashMap<>();
        List<Rows> recorded = new ArrayList<>();
        for (Value value : values) {
            Node maker = graph(Phase.PREFILL).nodes().stream()
                    .filter(node -> node.outputs().contains(value))
                    .findFirst()
                    .orElseThrow();
            Rows rows = new Rows(data.tokens(), value.spec().shape().max(1));
            observers.put(new Probe(maker.site(), Tap.OUTPUT), rows);
            recorded.add(rows);
        }
        observe(observers);
        return recorded;
    }

    @Override
    public void progress(String what, long done, long of) {
        progress.at(what, done, of);
    }

    /** What {@link #under} puts into a policy. */
    private record Rewritten(List<Rewrite> changes) implements SparsityMethod {

        private static final String NAME = "calibration";

        @Override
        public MethodInfo info() {
            return new MethodInfo(NAME, "what a model is calibrated under", "no publication");
        }

        @Override
        public String spec() {
            return NAME;
        }

        @Override
        public Optional<Calibrator> calibrator() {
            return Optional.of(calibration -> Map.of());
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return changes;
        }
    }

    @Override
    public Calibration under(List<Rewrite> rewrites, Map<String, Tensor> tensors) {
        if (!model.policy().methods().isEmpty()) {
            throw new IllegalStateException("this calibration is under rewrites already; pass all of them at once");
        }
        Rewritten method = new Rewritten(rewrites);
        Artefact artefact = artefact(method, tensors);
        SparseModel changed =
                model.withPolicy(SparsityPolicy.of(method), Map.of(method.info().name(), artefact));
        CalibrationRun run = new CalibrationRun(changed, true, data, artefact);
        under.add(run);
        return run;
    }

    /** Lets go of all models and rows; {@link #calibrate} does it. What was allocated in {@link #arena} stays. */
    @Override
    public void close() {
        if (replay != null) {
            replay.close();
        }
        under.forEach(CalibrationRun::close);
        if (ownsModel) {
            model.close();
        }
    }
}
