package ai.winnow.contract;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ShapeException;
import ai.winnow.UnsupportedModelException;
import ai.winnow.architecture.Architecture;
import ai.winnow.architecture.ModelConfig;
import ai.winnow.architecture.ModelDefinition;
import ai.winnow.contract.InterpretedModel.Rows;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphCheck;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.StepLimits;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Shape;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What every family of decoders keeps: its golden logits, one result whatever the batch, sites, and refusals by name. */
public abstract class ArchitectureContract {

    /**
     * A checkpoint and what somebody else's implementation computes with it.
     *
     * @param ids a text of one sequence
     * @param logits what comes out, by row
     * @param greedy what the model says by itself, the first id given
     */
    public record Golden(
            ModelConfig config, Map<String, Tensor> tensors, int[] ids, Map<Integer, float[]> logits, int[] greedy) {}

    private static final float GOLDEN_TOLERANCE = 1e-4f;
    private static final float SAME_TOLERANCE = 1e-5f;

    /** Loads the model; its tensors may live in {@code arena}. */
    protected abstract Golden golden(Arena arena);

    /** Fields of the configuration with values (as JSON) that the family must refuse by name. */
    protected abstract Map<String, String> refusedFields();

    private final Arena arena = Arena.ofConfined();
    private @Nullable Golden loaded;

    @BeforeEach
    void load() {
        loaded = golden(arena);
    }

    @AfterEach
    void close() {
        arena.close();
    }

    @Test
    void goldenLogits() {
        float[][] found = model().step(Phase.PREFILL, new Rows(0, golden().ids()));
        golden().logits().forEach((row, expected) -> assertClose(found[row], expected, GOLDEN_TOLERANCE, "row " + row));
    }

    @Test
    void greedyDecodingFollowsTheGoldenText() {
        InterpretedModel model = model();
        int[] greedy = golden().greedy();
        int[] found = new int[greedy.length];
        found[0] = greedy[0];
        for (int i = 1; i < greedy.length; i++) {
            found[i] = argMax(model.step(Phase.DECODE, new Rows(0, found[i - 1]))[0]);
        }
        assertThat(found).isEqualTo(greedy);
    }

    @Test
    void prefillThenDecodeEqualsOneLongPrefill() {
        int[] ids = golden().ids();
        float[][] whole = model().step(Phase.PREFILL, new Rows(1, ids));
        InterpretedModel model = model();
        int cut = ids.length / 2;
        float[][] first = model.step(Phase.PREFILL, new Rows(1, Arrays.copyOf(ids, cut)));
        assertClose(first[cut - 1], whole[cut - 1], SAME_TOLERANCE, "last row of the prefill");
        for (int i = cut; i < ids.length; i++) {
            float[][] next = model.step(Phase.DECODE, new Rows(1, ids[i]));
            assertClose(next[0], whole[i], SAME_TOLERANCE, "decoded row " + i);
        }
    }

    @Test
    void verifyingDraftRowsEqualsOneLongPrefill() {
        int[] ids = golden().ids();
        float[][] whole = model().step(Phase.PREFILL, new Rows(2, ids));
        InterpretedModel model = model();
        int cut = ids.length - 4;
        model.step(Phase.PREFILL, new Rows(2, Arrays.copyOf(ids, cut)));
        float[][] draft = model.step(Phase.VERIFY, new Rows(2, Arrays.copyOfRange(ids, cut, ids.length)));
        for (int i = cut; i < ids.length; i++) {
            assertClose(draft[i - cut], whole[i], SAME_TOLERANCE, "draft row " + i);
        }
    }

    @Test
    void aRaggedBatchEqualsItsSequencesOneByOne() {
        int[] ids = golden().ids();
        List<Rows> batch = List.of(
                new Rows(2, Arrays.copyOf(ids, 1)),
                new Rows(0, Arrays.copyOfRange(ids, 2, 9)),
                new Rows(1, Arrays.copyOfRange(ids, 1, 4)));
        InterpretedModel together = model();
        float[][] found = together.step(Phase.PREFILL, batch.toArray(Rows[]::new));
        float[][] next = together.step(Phase.DECODE, new Rows(1, ids[4]), new Rows(2, ids[1]), new Rows(0, ids[9]));
        int row = 0;
        for (Rows sequence : batch) {
            InterpretedModel alone = model();
            for (float[] expected : alone.step(Phase.PREFILL, sequence)) {
                assertClose(found[row], expected, SAME_TOLERANCE, "row " + row);
                row++;
            }
        }
        int[] slots = {1, 2, 0};
        int[][] texts = {Arrays.copyOfRange(ids, 1, 5), Arrays.copyOf(ids, 2), Arrays.copyOfRange(ids, 2, 10)};
        for (int s = 0; s < slots.length; s++) {
            float[][] expected = model().step(Phase.PREFILL, new Rows(slots[s], texts[s]));
            assertClose(next[s], expected[expected.length - 1], SAME_TOLERANCE, "decoded row of slot " + slots[s]);
        }
    }

    @Test
    void onlyTheRowsAskedForComeOut() {
        int[] ids = Arrays.copyOf(golden().ids(), 5);
        List<float[][]> all = model().run(Phase.PREFILL, new int[] {0, 1, 2, 3, 4}, new Rows(0, ids));
        List<float[][]> some = model().run(Phase.PREFILL, new int[] {1, 4}, new Rows(0, ids));
        assertThat(some).hasSize(2);
        for (int output = 0; output < 2; output++) {
            assertThat(some.get(output)).isEqualTo(new float[][] {all.get(output)[1], all.get(output)[4]});
        }
        assertThat(some.get(1)[0]).hasSize(definition(null).dimensions().hiddenSize());
    }

    @Test
    void everyLinearLayerHasASite() {
        for (Phase phase : definition(null).phases()) {
            for (Node node : graph(phase, null).nodes()) {
                assertThat(node.site().role() != Role.OTHER || !(node.op() instanceof Linear))
                        .as("%s in %s", node, phase)
                        .isTrue();
            }
        }
    }

    @Test
    void noSiteOccursTwice() {
        for (Phase phase : definition(null).phases()) {
            List<Site> sites =
                    graph(phase, null).nodes().stream().map(Node::site).toList();
            assertThat(sites).as("%s", phase).doesNotHaveDuplicates();
        }
    }

    @Test
    void everyPhaseReadsTheSameWeights() {
        var expected = graph(Phase.PREFILL, null).weights();
        for (Phase phase : definition(null).phases()) {
            GraphCheck.check(graph(phase, null), "recording " + phase);
            assertThat(graph(phase, null).weights()).as("%s", phase).isEqualTo(expected);
        }
    }

    @Test
    void matricesAreKeptInTheTypeAskedForAndVectorsInF32() {
        for (DType type : List.of(DType.F32, DType.BF16, DType.F16, DType.I8, DType.I4)) {
            for (WeightRef ref : modelWeights(type)) {
                DType expected = ref.spec().shape().rank() == 2 ? type : DType.F32;
                if ((type != DType.I8 && type != DType.I4)
                        || !ref.spec().dtype().isFloat()) {
                    assertThat(ref.spec().dtype()).as("%s", ref.name()).isEqualTo(expected);
                }
            }
        }
        assertThatThrownBy(() -> definition(DType.I64))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("I64");
    }

    /** Products are taken of int8 or int4; tables are only looked up, and stay as they are. */
    @Test
    void matricesThatAreMultipliedAreQuantisedWhenAskedFor() {
        for (DType type : List.of(DType.I8, DType.I4)) {
            for (Node node : graph(Phase.DECODE, type).nodes()) {
                if (node.op() instanceof Linear) {
                    assertThat(node.input(1).spec().dtype()).as("%s", node).isEqualTo(type);
                }
            }
        }
    }

    @Test
    void aMissingWeightIsNamed() {
        for (WeightRef ref : modelWeights(null)) {
            assertThatThrownBy(() -> define(name -> name.equals(ref.name()) ? null : spec(name)))
                    .isInstanceOf(UnsupportedModelException.class)
                    .hasMessageContaining(ref.name())
                    .hasMessageContaining(ref.spec().shape().toString());
        }
    }

    @Test
    void aWeightOfAnotherShapeIsNamed() {
        Shape odd = Shape.of(3, 5, 7);
        for (WeightRef ref : modelWeights(null)) {
            assertThatThrownBy(
                            () -> define(name -> name.equals(ref.name()) ? new TensorSpec(DType.F32, odd) : spec(name)))
                    .isInstanceOf(ShapeException.class)
                    .hasMessageContaining(ref.name())
                    .hasMessageContaining(odd.toString())
                    .hasMessageContaining(ref.spec().shape().toString());
        }
    }

    @Test
    void aQuantisedWeightIsNamed() {
        for (WeightRef ref : modelWeights(null)) {
            assertThatThrownBy(() ->
                            define(name -> name.equals(ref.name()) ? ref.spec().withDType(DType.F8_E4M3) : spec(name)))
                    .isInstanceOf(UnsupportedModelException.class)
                    .hasMessageContaining(ref.name())
                    .hasMessageContaining("F8_E4M3");
        }
    }

    @Test
    void unsupportedFieldsAreRefusedByName() {
        refusedFields().forEach((field, json) -> {
            ModelConfig config = with(field, json);
            assertThatThrownBy(() -> Architecture.of(config).define(config, this::spec, null))
                    .as("%s = %s", field, json)
                    .isInstanceOf(UnsupportedModelException.class)
                    .hasMessageContaining(config.source())
                    .hasMessageContaining(field)
                    .hasMessageContaining("expected");
        });
    }

    @Test
    void unknownArchitecturesAreRefusedByName() {
        assertThatThrownBy(() -> Architecture.of(with("architectures", "[\"NobodyForCausalLM\"]")))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("NobodyForCausalLM")
                .hasMessageContaining(
                        Architecture.of(golden().config()).modelNames().getFirst());
    }

    @Test
    void aContextLongerThanTheModelIsRefused() {
        int longest = definition(null).dimensions().maxPositions();
        StepLimits limits = new StepLimits(1, 1, 1, longest + 1, DType.F32);
        assertThatThrownBy(() -> definition(null).graph(Phase.PREFILL, limits))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining(Integer.toString(longest))
                .hasMessageContaining(Integer.toString(longest + 1));
    }

    /** Fails unless the greatest difference is within {@code tolerance} of the range of {@code expected}, and the argmax the same. */
    public static void assertClose(float[] found, float[] expected, float tolerance, String what) {
        assertThat(found.length).as(what).isEqualTo(expected.length);
        float least = Float.POSITIVE_INFINITY;
        float greatest = Float.NEGATIVE_INFINITY;
        double worst = 0;
        for (int i = 0; i < expected.length; i++) {
            least = Math.min(least, expected[i]);
            greatest = Math.max(greatest, expected[i]);
            worst = Math.max(worst, Math.abs((double) found[i] - expected[i]));
        }
        assertThat(worst / (greatest - least))
                .as("error over range of %s", what)
                .isLessThanOrEqualTo(tolerance);
        assertThat(argMax(found)).as("argmax of %s", what).isEqualTo(argMax(expected));
    }

    private static int argMax(float[] values) {
        return IntStream.range(0, values.length)
                .reduce((a, b) -> values[b] > values[a] ? b : a)
                .orElseThrow();
    }

    private InterpretedModel model() {
        return new InterpretedModel(definition(null), golden().tensors(), arena, limits(), UnaryOperator.identity());
    }

    private Golden golden() {
        if (loaded == null) {
            throw new IllegalStateException("the model is loaded before each test");
        }
        return loaded;
    }

    private StepLimits limits() {
        int context = Math.min(96, definition(null).dimensions().maxPositions());
        return new StepLimits(context, 3, context, context, DType.F32);
    }

    private Graph graph(Phase phase, @Nullable DType type) {
        return definition(type).graph(phase, limits());
    }

    private List<WeightRef> modelWeights(@Nullable DType type) {
        return graph(Phase.PREFILL, type).weights().stream()
                .filter(ref -> ref.source() == WeightRef.Source.MODEL)
                .toList();
    }

    private ModelDefinition definition(@Nullable DType type) {
        ModelConfig config = golden().config();
        return Architecture.of(config).define(config, this::spec, type);
    }

    private ModelDefinition define(Function<String, @Nullable TensorSpec> specs) {
        ModelConfig config = golden().config();
        return Architecture.of(config).define(config, specs, null);
    }

    private @Nullable TensorSpec spec(String name) {
        Tensor tensor = golden().tensors().get(name);
        return tensor == null ? null : tensor.spec();
    }

    private ModelConfig with(String field, String json) {
        Object value = ModelConfig.parse("{\"value\": " + json + "}").fields().get("value");
        return golden().config().with(field, value);
    }
}
