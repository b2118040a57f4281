package ai.winnow.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.Fused;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Op;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.ir.WeightRef;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PlannerTest {

    private static final WeightRef WEIGHT = WeightRef.model("w", TensorSpec.of(DType.F32, 8, 8));
    private static final List<Layout> BOTH = List.of(Layout.COLUMN_MAJOR, Layout.ROW_MAJOR);
    private static final List<Layout> ROWS = List.of(Layout.ROW_MAJOR);

    /** A backend that takes linear layers in the layouts that it is told for each phase, and nothing else. */
    private record Fake(String name, int rank, Map<Phase, List<Layout>> layouts) implements KernelProvider {

        @Override
        public Availability probe() {
            return new Availability.Ready("fake");
        }

        @Override
        public Support kernelFor(KernelRequest request) {
            List<Layout> offered = layouts.get(request.phase());
            if (offered == null || !(request.op() instanceof Linear)) {
                return new Support.Refused("only linear layers of " + layouts.keySet());
            }
            return new Support.Supported(Map.of(1, offered), chosen -> new Named(name + " " + chosen.get(1)));
        }
    }

    private record Named(String name) implements Kernel {
        @Override
        public void run(Operands operands, Workspace workspace) {}
    }

    private static Graph linear(Phase phase) {
        GraphBuilder builder = new GraphBuilder(phase);
        Value x = builder.input("x", TensorSpec.of(DType.F32, 1, 8));
        Value w = builder.weight(WEIGHT);
        return builder.build(List.of(builder.add(new Linear(false), Site.of(0, Role.DOWN), x, w)));
    }

    private static Plan plan(Map<Phase, List<Layout>> layouts) {
        Map<Phase, Graph> graphs = new EnumMap<>(Phase.class);
        layouts.keySet().forEach(phase -> graphs.put(phase, linear(phase)));
        return planner(new Fake("fake", 9, layouts)).plan(graphs);
    }

    private static Planner planner(KernelProvider... providers) {
        return new Planner(Backends.of(List.of(providers)), ModelOptions.SMALL_GROUP);
    }

    private static String kernel(Plan plan, Phase phase) {
        return plan.phase(phase).steps().getFirst().kernel().name();
    }

    @Test
    void aWeightLiesOnceInALayoutThatAllPhasesRead() {
        Plan plan = plan(Map.of(Phase.PREFILL, ROWS, Phase.DECODE, BOTH));
        assertThat(kernel(plan, Phase.PREFILL)).isEqualTo("fake row-major");
        assertThat(kernel(plan, Phase.DECODE)).isEqualTo("fake row-major");
    }

    @Test
    void whatDecodingLikesBestWinsWhereAllRead() {
        Plan plan = plan(Map.of(Phase.PREFILL, BOTH.reversed(), Phase.DECODE, BOTH));
        assertThat(kernel(plan, Phase.PREFILL)).isEqualTo("fake column-major");
        assertThat(kernel(plan, Phase.DECODE)).isEqualTo("fake column-major");
    }

    @ParameterizedTest
    @ValueSource(ints = {32, 128})
    void onlyGroupsOfTheSizeAskedForAreChosen(int group) {
        Fake fake = new Fake("fake", 9, Map.of(Phase.DECODE, Layout.ScaledGroups.all(Layout.Order.ROW_MAJOR)));
        Plan plan = new Planner(Backends.of(List.of(fake)), group).plan(Map.of(Phase.DECODE, linear(Phase.DECODE)));
        assertThat(kernel(plan, Phase.DECODE)).isEqualTo("fake row-major, scaled groups of " + group);
    }

    @Test
    void kernelsWithNoLayoutInCommonGetACopyEach() {
        Plan plan = plan(Map.of(Phase.PREFILL, ROWS, Phase.DECODE, List.of(Layout.COLUMN_MAJOR)));
        assertThat(kernel(plan, Phase.PREFILL)).isEqualTo("fake row-major");
        assertThat(kernel(plan, Phase.DECODE)).isEqualTo("fake column-major");
    }

    @Test
    void theHighestRankThatTakesANodeRunsIt() {
        Fake low = new Fake("low", 5, Map.of(Phase.DECODE, BOTH));
        Fake high = new Fake("high", 50, Map.of(Phase.PREFILL, BOTH));
        Plan plan = planner(low, high)
                .plan(Map.of(Phase.DECODE, linear(Phase.DECODE), Phase.PREFILL, linear(Phase.PREFILL)));
        assertThat(kernel(plan, Phase.PREFILL)).isEqualTo("high column-major");
        assertThat(kernel(plan, Phase.DECODE)).isEqualTo("low column-major");
        assertThat(plan.phase(Phase.DECODE).refusals()).singleElement().satisfies(refusal -> {
            assertThat(refusal.decomposed()).isFalse();
            assertThat(refusal.reasons()).containsExactly("high: only linear layers of [PREFILL]");
        });
    }

    @Test
    void whatNobodyTakesIsDecomposedAtItsSiteWithTheReasons() {
        Plan plan = planner().plan(Map.of(Phase.DECODE, linear(Phase.DECODE)));
        assertThat(plan.phase(Phase.DECODE).steps()).singleElement().satisfies(step -> {
            assertThat(step.node().op()).isInstanceOf(Primitive.MatMul.class);
            assertThat(step.node().site()).isEqualTo(Site.of(0, Role.DOWN));
            assertThat(step.backend()).isEqualTo("reference");
        });
        assertThat(plan.phase(Phase.DECODE).refusals())
                .singleElement()
                .satisfies(refusal -> assertThat(refusal.decomposed()).isTrue());
    }

    /** A fused op that only its decomposition knows. */
    private record Twice() implements Fused.Composite {
        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            return inputs;
        }

        @Override
        public List<Value> decompose(GraphBuilder builder, List<Value> inputs) {
            Op add = new Primitive.Binary(Primitive.Binary.Operator.ADD);
            return List.of(builder.add(add, Site.global(Role.OTHER), inputs.getFirst(), inputs.getFirst()));
        }
    }

    /** Random graphs: whoever is alive at the same time must not share memory. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void valuesThatAreAliveTogetherDoNotOverlap(long seed) {
        Random random = new Random(seed);
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        List<Value> made = new java.util.ArrayList<>();
        made.add(builder.input("x", TensorSpec.of(DType.F32, 1 + random.nextInt(50), 1)));
        for (int i = 0; i < 40; i++) {
            Value from = made.get(random.nextInt(made.size()));
            made.add(
                    random.nextBoolean()
                            ? builder.add(new Twice(), Site.global(Role.OTHER), from)
                            : builder.add(new Primitive.Concat(1), Site.global(Role.OTHER), from, from));
            if (made.getLast().spec().maxBytes() > 1 << 20) {
                made.removeLast();
            }
        }
        Graph graph = builder.build(List.of(made.get(made.size() / 2), made.getLast()));
        MemoryLayout layout = MemoryLayout.of(graph);
        Map<Integer, Integer> lastUse = new HashMap<>();
        for (int i = 0; i < graph.nodes().size(); i++) {
            for (Value value : graph.nodes().get(i).inputs()) {
                lastUse.put(value.id(), i);
            }
        }
        graph.outputs().forEach(value -> lastUse.put(value.id(), Integer.MAX_VALUE));
        List<Node> nodes = graph.nodes();
        for (int i = 0; i < nodes.size(); i++) {
            for (int j = i; j < nodes.size(); j++) {
                Value a = nodes.get(i).output();
                Value b = nodes.get(j).output();
                if (i != j && lastUse.getOrDefault(a.id(), i) >= j) {
                    long x = layout.offsets().getOrDefault(a.id(), -1L);
                    long y = layout.offsets().getOrDefault(b.id(), -1L);
                    assertThat(x + a.spec().maxBytes() <= y || y + b.spec().maxBytes() <= x)
                            .as("seed %d: %s and %s", seed, a, b)
                            .isTrue();
                    assertThat(y + b.spec().maxBytes()).isLessThanOrEqualTo(layout.bytes());
                }
            }
        }
    }
}
