package ai.winnow.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ShapeException;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import org.junit.jupiter.api.Test;

class GraphTest {

    private static final WeightRef UP = WeightRef.model("up", TensorSpec.of(DType.F32, 6, 4));
    private static final WeightRef DOWN = WeightRef.model("down", TensorSpec.of(DType.F32, 4, 6));
    private static final Op SILU = new Activation(Activation.Kind.SILU);
    private static final Op LINEAR = new Linear(false);

    /** {@code x + down(silu(up(x)))}. */
    private static Graph mlp() {
        GraphBuilder builder = new GraphBuilder(Phase.PREFILL);
        Value x = builder.input("x", TensorSpec.rows(DType.F32, new Dim.AtMost(8, "tokens"), 4));
        Value up = builder.add(LINEAR, Site.of(0, Role.UP), x, builder.weight(UP));
        Value active = builder.add(SILU, Site.of(0, Role.ACTIVATION), up);
        Value down = builder.add(LINEAR, Site.of(0, Role.DOWN), active, builder.weight(DOWN));
        Op add = new Primitive.Binary(Primitive.Binary.Operator.ADD);
        return builder.build(List.of(builder.add(add, Site.of(0, Role.MLP_RESIDUAL), x, down)));
    }

    private static List<Role> roles(Graph graph) {
        return graph.nodes().stream().map(node -> node.site().role()).toList();
    }

    @Test
    void anIdentityTransformReturnsTheVeryGraph() {
        Graph graph = mlp();
        assertThat(graph.mapOps(Node::op)).isSameAs(graph);
        assertThat(graph.transform((node, inputs, builder) -> builder.add(node.op(), node.site(), inputs)))
                .isSameAs(graph);
    }

    @Test
    void anEqualOpIsNoChangeAndAnotherIs() {
        Graph graph = mlp();
        assertThat(graph.mapOps(node -> node.op().equals(LINEAR) ? new Linear(false) : node.op()))
                .isSameAs(graph);
        Graph relu = graph.mapOps(node -> node.op().equals(SILU) ? new Activation(Activation.Kind.RELU) : node.op());
        assertThat(relu).isNotSameAs(graph);
        assertThat(relu.at(Role.ACTIVATION).getFirst().op()).isEqualTo(new Activation(Activation.Kind.RELU));
        assertThat(relu.weights()).containsExactly(UP, DOWN);
        assertThatCode(() -> GraphCheck.check(relu, "relu")).doesNotThrowAnyException();
    }

    @Test
    void anotherSiteOrAnotherWeightIsAChange() {
        Graph graph = mlp();
        assertThat(graph.transform((node, inputs, builder) ->
                        builder.add(node.op(), Site.of(1, node.site().role()), inputs)))
                .isNotSameAs(graph);
        WeightRef other = WeightRef.artefact("other/up", UP.spec());
        Graph replaced = graph.transform((node, inputs, builder) -> node.site().role() == Role.UP
                ? builder.add(node.op(), node.site(), List.of(inputs.getFirst(), builder.weight(other)))
                : builder.add(node.op(), node.site(), inputs));
        assertThat(replaced).isNotSameAs(graph);
        assertThat(replaced.weights()).containsExactly(other, DOWN);
    }

    @Test
    void swappedOperandsAreAChange() {
        Graph graph = mlp();
        assertThat(graph.transform((node, inputs, builder) -> builder.add(
                        node.op(), node.site(), node.site().role() == Role.MLP_RESIDUAL ? inputs.reversed() : inputs)))
                .isNotSameAs(graph);
    }

    @Test
    void aDroppedNodeDisappearsWithAllThatOnlyItRead() {
        Graph graph = mlp();
        Graph skipped = graph.transform((node, inputs, builder) -> node.site().role() == Role.MLP_RESIDUAL
                ? List.of(inputs.getFirst())
                : builder.add(node.op(), node.site(), inputs));
        assertThat(skipped.nodes()).isEmpty();
        assertThat(skipped.outputs()).containsExactly(skipped.input("x"));
        assertThat(skipped.weights()).isEmpty();
        Graph linear = graph.transform((node, inputs, builder) ->
                node.op().equals(SILU) ? inputs : builder.add(node.op(), node.site(), inputs));
        assertThat(roles(linear)).containsExactly(Role.UP, Role.DOWN, Role.MLP_RESIDUAL);
        assertThatCode(() -> GraphCheck.check(linear, "linear")).doesNotThrowAnyException();
    }

    @Test
    void otherOutputsNeedOnlyTheirNodes() {
        Graph graph = mlp();
        Graph active = graph.withOutputs(graph.at(Role.ACTIVATION).getFirst().outputs());
        assertThat(roles(active)).containsExactly(Role.UP, Role.ACTIVATION);
        assertThat(active.inputs()).isEqualTo(graph.inputs());
    }

    @Test
    void whatIsNotReadIsNotBuilt() {
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        Value x = builder.input("x", TensorSpec.of(DType.F32, 2));
        builder.add(SILU, Site.global(Role.OTHER), x);
        assertThat(builder.build(List.of(x)).nodes()).isEmpty();
    }

    @Test
    void stateIsWrittenEvenIfNobodyLooks() {
        GraphBuilder builder = new GraphBuilder(Phase.DECODE);
        StepLimits limits = new StepLimits(4, 2, 2, 100, DType.F32);
        StandardInputs in = StandardInputs.declare(builder, limits);
        KvShape shape = new KvShape(1, 2, 4, 2, 100, DType.F32);
        StandardInputs.Kv kv = StandardInputs.Kv.declare(builder, shape);
        Value key = builder.input(
                "key", TensorSpec.rows(DType.F32, in.ids().spec().shape().rowDim(), 8));
        Value active = builder.add(SILU, Site.of(0, Role.KEY), key);
        List<Value> operands = List.of(
                active, key, in.sequence(), in.indptr(), in.slots(), kv.keys(), kv.values(), kv.table(), kv.lengths());
        builder.add(new KvAppend(shape, 0), Site.of(0, Role.KV_APPEND), operands);
        Graph graph = builder.build(List.of(key));
        assertThat(roles(graph)).containsExactly(Role.KEY, Role.KV_APPEND);
        assertThat(graph.withOutputs(List.of()).nodes()).hasSize(2);
        assertThat(graph.mapOps(Node::op)).isSameAs(graph);
        assertThatCode(() -> GraphCheck.check(graph, "build")).doesNotThrowAnyException();
    }

    @Test
    void aWrongRewriteIsNamed() {
        Graph graph = mlp();
        List<Node> nodes = graph.nodes();
        Graph late = new Graph(graph.phase(), graph.inputs(), nodes.reversed(), graph.outputs());
        assertThatThrownBy(() -> GraphCheck.check(late, "teal"))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("after teal")
                .hasMessageContaining("before it is made");
        Graph twice = new Graph(graph.phase(), graph.inputs(), List.of(nodes.get(0), nodes.get(0)), graph.inputs());
        assertThatThrownBy(() -> GraphCheck.check(twice, "teal")).hasMessageContaining("made twice");
        Graph missing = new Graph(graph.phase(), graph.inputs(), nodes.subList(0, 1), graph.outputs());
        assertThatThrownBy(() -> GraphCheck.check(missing, "teal")).hasMessageContaining("no node makes the output");
        Node wrong = new Node(
                new RmsNorm(6, 0, 6),
                Site.of(0, Role.UP),
                nodes.get(0).inputs(),
                nodes.get(0).outputs());
        assertThatThrownBy(() -> GraphCheck.check(
                        new Graph(graph.phase(), graph.inputs(), List.of(wrong), wrong.outputs()), "teal"))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("after teal: UP of layer 0: RmsNorm");
        Node narrow = new Node(
                SILU, Site.of(0, Role.ACTIVATION), graph.inputs(), nodes.get(0).outputs());
        assertThatThrownBy(() -> GraphCheck.check(
                        new Graph(graph.phase(), graph.inputs(), List.of(narrow), narrow.outputs()), "teal"))
                .hasMessageContaining("F32 [tokens<=8, 4]")
                .hasMessageContaining("F32 [tokens<=8, 6]");
    }

    @Test
    void theBuilderNamesTheSiteOfAMisfit() {
        GraphBuilder builder = new GraphBuilder(Phase.PREFILL);
        Value x = builder.input("x", TensorSpec.of(DType.F32, 1, 5));
        assertThatThrownBy(() -> builder.add(LINEAR, Site.of(12, Role.DOWN), x, builder.weight(DOWN)))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("DOWN of layer 12")
                .hasMessageContaining("[4, 6]")
                .hasMessageContaining("[1, 5]");
    }
}
