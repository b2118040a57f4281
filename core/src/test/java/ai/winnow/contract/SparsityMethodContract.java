package ai.winnow.contract;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.architecture.Architecture;
import ai.winnow.architecture.ModelDefinition;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.io.Artefact;
import ai.winnow.io.ArtefactStore;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphCheck;
import ai.winnow.ir.KvRetain;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StepLimits;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.Logits;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/**
 * What holds for every method, tried on random models and the reference backend. Extend it with what is the method's own: its
 * strengths and its door.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class SparsityMethodContract {

    /** One window that takes two steps, and a short one. */
    private static final CalibrationData DATA = CalibrationData.of(List.of(
            TinyModel.windows(11, 1, 22).getFirst(), TinyModel.windows(11, 1, 6).getFirst()));

    private static final int[] PROMPT = TinyModel.windows(12, 1, 23).getFirst();
    private static final int[] OTHER_PROMPT = TinyModel.windows(13, 1, 5).getFirst();
    private static final int[] NEXT = TinyModel.windows(14, 1, 6).getFirst();

    /** A method and what it measured on a model. */
    private record Prepared(SparsityMethod method, Map<String, Artefact> artefacts) {}

    /** Calibrations by model and method: each is made once. */
    private final Map<List<String>, Prepared> calibrated = new HashMap<>();

    protected abstract MethodProvider provider();

    /** The method at zero strength. */
    protected abstract SparsityMethod zero();

    /** The method at strengths above zero, ascending. */
    protected abstract List<SparsityMethod> ladder();

    /** Policies that are to be refused; by default those of a method whose first option is a sparsity. */
    protected List<String> badSpecs() {
        String name = provider().info().name();
        return List.of(
                name + ":-0.1",
                name + ":1",
                name + ":1.5",
                name + ":NaN",
                name + ":much",
                name + ":0.5,nobodys=1",
                name + ":0.5,sparsity=0.5");
    }

    /** The models to run on. */
    protected List<TinyModel> models() {
        return List.of(TinyModel.llama(1), TinyModel.tied(2), TinyModel.biased(3));
    }

    /** The prompt behind which the error must grow: long enough for the method to act. */
    protected int[] prompt() {
        return PROMPT;
    }

    /** How much smaller the error may be at a strength than at the one before: random models have luck. */
    protected double luck() {
        return 0.9;
    }

    @Test
    public void zeroStrengthReturnsTheSameGraphs() {
        for (TinyModel tiny : models()) {
            try (SparseModel dense = dense(tiny)) {
                Map<Phase, Graph> graphs = graphs(dense);
                Map<Phase, Graph> rewritten = SparsityPolicy.of(zero()).apply(graphs, method -> Artefact.EMPTY);
                graphs.forEach(
                        (phase, graph) -> assertThat(rewritten.get(phase)).isSameAs(graph));
            }
        }
    }

    @Test
    public void zeroStrengthEqualsDenseBitForBit() {
        for (TinyModel tiny : models()) {
            assertThat(logits(tiny, zero(), Map.of())).isDeepEqualTo(logits(tiny, SparsityPolicy.dense(), Map.of()));
        }
    }

    @Test
    public void theSpecParsesBackToAnEqualMethod() {
        List<SparsityMethod> all = new ArrayList<>(ladder());
        all.add(zero());
        for (SparsityMethod method : all) {
            SparsityPolicy policy = SparsityPolicy.of(method);
            assertThat(SparsityPolicy.parse(policy.toString(), List.of(provider())))
                    .isEqualTo(policy);
            assertThat(method.info().name()).isEqualTo(provider().info().name());
        }
    }

    @Test
    public void badOptionsAreRefusedByName() {
        String name = provider().info().name();
        for (String bad : badSpecs()) {
            assertThatThrownBy(() -> SparsityPolicy.parse(bad, List.of(provider())))
                    .as(bad)
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining(name);
        }
    }

    @Test
    public void rewrittenGraphsAreWellFormedAndChanged() {
        for (TinyModel tiny : models()) {
            try (SparseModel dense = dense(tiny)) {
                for (SparsityMethod method : ladder()) {
                    Prepared prepared = prepare(dense, method);
                    Map<Phase, Graph> graphs = graphs(dense);
                    Map<Phase, Graph> rewritten = apply(prepared, graphs);
                    rewritten.values().forEach(graph -> GraphCheck.check(graph, method.spec()));
                    assertThat(rewritten).isNotEqualTo(graphs);
                }
            }
        }
    }

    @Test
    public void outputsAreFiniteAndTheErrorGrowsWithStrength() {
        for (TinyModel tiny : models()) {
            try (SparseModel dense = dense(tiny)) {
                float[][] expected = logits(dense, prompt());
                double before = 0;
                for (SparsityMethod method : ladder()) {
                    float[][] found = logits(dense, prepare(dense, method), prompt());
                    for (float[] row : found) {
                        for (float logit : row) {
                            assertThat(Float.isFinite(logit)).as(method.spec()).isTrue();
                        }
                    }
                    double error = distance(found, expected);
                    assertThat(error).as("error of %s", method.spec()).isGreaterThanOrEqualTo(before * luck());
                    before = error;
                }
                assertThat(before).as("error of the greatest strength").isPositive();
            }
        }
    }

    @Test
    public void thePlannedModelEqualsTheInterpreter() {
        for (TinyModel tiny : models()) {
            SparsityMethod method = ladder().getLast();
            try (SparseModel dense = dense(tiny);
                    Arena arena = Arena.ofConfined()) {
                Prepared prepared = prepare(dense, method);
                float[][] planned = logits(dense, prepared);
                Map<String, Tensor> tensors = new HashMap<>(tiny.tensors());
                prepared.artefacts().values().forEach(artefact -> tensors.putAll(artefact.tensors()));
                ModelDefinition definition = Architecture.define(tiny.config(), tiny.source(), null);
                InterpretedModel interpreted = new InterpretedModel(
                        definition,
                        tensors,
                        arena,
                        new StepLimits(40, 1, 40, 96, DType.F32),
                        graph -> Objects.requireNonNull(
                                apply(prepared, Map.of(graph.phase(), graph)).get(graph.phase())));
                List<float[]> found = new ArrayList<>();
                Graph prefill =
                        Objects.requireNonNull(apply(prepared, graphs(dense)).get(Phase.PREFILL));
                found.add(prompt(interpreted, dense.limits().maxTokens(), KvRetain.probes(prefill)));
                interpreted.drop(Phase.PREFILL, 0);
                for (int token : NEXT) {
                    found.add(interpreted.step(Phase.DECODE, new InterpretedModel.Rows(0, token))[0]);
                }
                assertThat(found.toArray(float[][]::new)).as(method.spec()).isDeepEqualTo(planned);
            }
        }
    }

    /** The logits after the prompt, in pieces of {@code most} tokens, as a session runs it: what a piece chooses is its own affair. */
    private static float[] prompt(InterpretedModel interpreted, int most, int probes) {
        float[] logits = {};
        for (int from = 0; from < PROMPT.length; ) {
            int rest = PROMPT.length - from;
            int count = rest <= most ? rest : Math.min(most, rest - Math.min(probes, PROMPT.length));
            int[] piece = Arrays.copyOfRange(PROMPT, from, from + count);
            from += count;
            logits = interpreted.step(Phase.PREFILL, new InterpretedModel.Rows(0, piece))[piece.length - 1];
        }
        return logits;
    }

    @Test
    public void anArtefactSurvivesTheDisk(@TempDir Path folder) {
        try (SparseModel dense = dense(models().getFirst())) {
            for (SparsityMethod method : ladder()) {
                Prepared prepared = prepare(dense, method);
                Map<String, Artefact> loaded = new HashMap<>();
                prepared.artefacts().forEach((name, artefact) -> {
                    ArtefactStore.save(folder.resolve(name), artefact);
                    loaded.put(name, ArtefactStore.load(folder.resolve(name)));
                });
                assertThat(logits(dense, new Prepared(method, loaded)))
                        .as(method.spec())
                        .isDeepEqualTo(logits(dense, prepared));
            }
        }
    }

    @Test
    public void anArtefactOfAnotherModelIsRefused() {
        try (SparseModel dense = dense(models().getFirst());
                SparseModel other = dense(TinyModel.llama(77))) {
            for (SparsityMethod method : ladder()) {
                if (method.calibrator().isPresent()) {
                    Map<String, Artefact> artefacts = prepare(dense, method).artefacts();
                    assertThatThrownBy(() -> other.withPolicy(SparsityPolicy.of(method), artefacts))
                            .as(method.spec())
                            .isInstanceOf(ArtefactException.class)
                            .hasMessageContaining("made for the model with fingerprint");
                }
            }
        }
    }

    @Test
    public void sequencesDoNotTouchOneAnother() {
        for (TinyModel tiny : models()) {
            SparsityMethod method = ladder().getFirst();
            try (SparseModel dense = dense(tiny);
                    SparseModel model = with(dense, prepare(dense, method));
                    Session session = model.newSession()) {
                float[][] first = logits(model, PROMPT);
                float[][] second = logits(model, OTHER_PROMPT);
                List<SequenceId> both = List.of(session.open(), session.open());
                Logits logits = session.run(
                        Phase.PREFILL,
                        new Batch(List.of(
                                new Batch.Entry(both.getFirst(), PROMPT),
                                new Batch.Entry(both.getLast(), OTHER_PROMPT))));
                for (int i = 0; i <= NEXT.length; i++) {
                    assertClose(logits.copyOf(0), first[i], method);
                    assertClose(logits.copyOf(1), second[i], method);
                    if (i < NEXT.length) {
                        logits = session.run(Phase.DECODE, Batch.decode(both, new int[] {NEXT[i], NEXT[i]}));
                    }
                }
            }
        }
    }

    private static void assertClose(float[] found, float[] expected, SparsityMethod method) {
        ArchitectureContract.assertClose(found, expected, 1e-5f, method.spec());
    }

    private static SparseModel dense(TinyModel tiny) {
        return tiny.load(SparsityPolicy.dense(), Map.of());
    }

    private static Map<Phase, Graph> graphs(SparseModel dense) {
        return Map.of(Phase.PREFILL, dense.denseGraph(Phase.PREFILL), Phase.DECODE, dense.denseGraph(Phase.DECODE));
    }

    private Prepared prepare(SparseModel dense, SparsityMethod method) {
        String fingerprint = dense.weights().source().fingerprint();
        return calibrated.computeIfAbsent(
                List.of(fingerprint, method.spec()),
                key -> new Prepared(method, CalibrationRun.calibrate(dense, SparsityPolicy.of(method), DATA)));
    }

    private static Map<Phase, Graph> apply(Prepared prepared, Map<Phase, Graph> graphs) {
        return SparsityPolicy.of(prepared.method()).apply(graphs, method -> prepared.artefacts()
                .getOrDefault(method.info().name(), Artefact.EMPTY));
    }

    private static SparseModel with(SparseModel dense, Prepared prepared) {
        return dense.withPolicy(SparsityPolicy.of(prepared.method()), prepared.artefacts());
    }

    private static float[][] logits(TinyModel tiny, SparsityMethod method, Map<String, Artefact> artefacts) {
        return logits(tiny, SparsityPolicy.of(method), artefacts);
    }

    private static float[][] logits(TinyModel tiny, SparsityPolicy policy, Map<String, Artefact> artefacts) {
        try (SparseModel model = tiny.load(policy, artefacts)) {
            return logits(model);
        }
    }

    private static float[][] logits(SparseModel dense, Prepared prepared) {
        return logits(dense, prepared, PROMPT);
    }

    private static float[][] logits(SparseModel dense, Prepared prepared, int[] prompt) {
        try (SparseModel model = with(dense, prepared)) {
            return logits(model, prompt);
        }
    }

    private static float[][] logits(SparseModel model) {
        return logits(model, PROMPT);
    }

    /** The logits after {@code prompt} and after each of some tokens behind it. */
    private static float[][] logits(SparseModel model, int[] prompt) {
        try (Session session = model.newSession()) {
            SequenceId sequence = session.open();
            float[][] rows = new float[NEXT.length + 1][];
            rows[0] = session.run(Phase.PREFILL, Batch.of(sequence, prompt)).copyOf(0);
            for (int i = 0; i < NEXT.length; i++) {
                rows[i + 1] =
                        session.run(Phase.DECODE, Batch.of(sequence, NEXT[i])).copyOf(0);
            }
            return rows;
        }
    }

    private static double distance(float[][] found, float[][] expected) {
        double squares = 0;
        for (int row = 0; row < found.length; row++) {
            for (int i = 0; i < found[row].length; i++) {
                double d = (double) found[row][i] - expected[row][i];
                squares += d * d;
            }
        }
        return Math.sqrt(squares);
    }
}
