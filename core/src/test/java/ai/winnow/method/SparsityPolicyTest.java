package ai.winnow.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive;
import ai.winnow.ir.Primitive.Unary.Function;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.Rewrite.Stage;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.TensorSpec;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SparsityPolicyTest {

    /** A method that puts a function behind every node, to see who came when. */
    private record Mark(String name, float sparsity, boolean flag, Function function, Stage stage, Set<Claim> touches)
            implements SparsityMethod {
        @Override
        public MethodInfo info() {
            return new MethodInfo(name, "marks", "nobody");
        }

        @Override
        public String spec() {
            return name + ":sparsity=" + sparsity + ",flag=" + flag;
        }

        @Override
        public List<Rewrite> rewrites(Artefact artefact) {
            return List.of(new Rewrite(
                    stage,
                    Set.of(Phase.DECODE),
                    touches,
                    graph -> graph.transform((node, inputs, builder) -> {
                        Value same = builder.add(node.op(), node.site(), inputs).getFirst();
                        return List.of(builder.add(new Primitive.Unary(function), node.site(), same));
                    })));
        }
    }

    private record Door(String name, Function function, Stage stage, Set<Claim> touches) implements MethodProvider {
        @Override
        public MethodInfo info() {
            return new MethodInfo(name, "marks", "nobody");
        }

        @Override
        public SparsityMethod parse(MethodOptions options) {
            return new Mark(
                    name, options.sparsity("sparsity", 0.5f), options.flag("flag", false), function, stage, touches);
        }
    }

    private static final Claim DOWN = new Claim(Role.DOWN, Aspect.INPUTS);
    private static final List<Door> DOORS = List.of(
            new Door("late", Function.TANH, Stage.ACTIVATION, Set.of(DOWN)),
            new Door("early", Function.EXP, Stage.WEIGHT, Set.of()),
            new Door("rival", Function.SIN, Stage.ACTIVATION, Set.of(DOWN)));

    private static Graph graph(Phase phase) {
        GraphBuilder builder = new GraphBuilder(phase);
        Value x = builder.input("x", TensorSpec.of(DType.F32, 1));
        return builder.build(List.of(builder.add(new Primitive.Unary(Function.NEG), Site.of(0, Role.DOWN), x)));
    }

    private static List<String> functions(Graph graph) {
        return graph.nodes().stream()
                .map(node -> ((Primitive.Unary) node.op()).function().toString())
                .toList();
    }

    @Test
    void stagesAreAppliedInOrderAndOnlyToTheirPhases() {
        SparsityPolicy policy = SparsityPolicy.parse("late + early", DOORS);
        Map<Phase, Graph> graphs = Map.of(Phase.DECODE, graph(Phase.DECODE), Phase.PREFILL, graph(Phase.PREFILL));
        Map<Phase, Graph> changed = policy.apply(graphs, method -> Artefact.EMPTY);
        // TANH was put behind every node of the graph that already had EXP.
        assertThat(functions(java.util.Objects.requireNonNull(changed.get(Phase.DECODE))))
                .containsExactly("NEG", "TANH", "EXP", "TANH");
        assertThat(changed.get(Phase.PREFILL)).isSameAs(graphs.get(Phase.PREFILL));
    }

    @Test
    void twoMethodsThatClaimTheSameAreRefused() {
        SparsityPolicy policy = SparsityPolicy.parse("late + rival", DOORS);
        assertThatThrownBy(() -> policy.apply(Map.of(Phase.DECODE, graph(Phase.DECODE)), method -> Artefact.EMPTY))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessage("late and rival both choose the INPUTS of DOWN in DECODE; use one of them");
    }

    @Test
    void textAndPolicyAreTheSame() {
        SparsityPolicy policy = SparsityPolicy.parse(" early:0.25,flag=true+late ", DOORS);
        assertThat(policy).hasToString("early:sparsity=0.25,flag=true + late:sparsity=0.5,flag=false");
        assertThat(SparsityPolicy.parse(policy.toString(), DOORS)).isEqualTo(policy);
        assertThat(SparsityPolicy.parse("dense", DOORS)).isEqualTo(SparsityPolicy.dense());
        assertThat(SparsityPolicy.parse("  ", DOORS)).isEqualTo(SparsityPolicy.dense());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "nobody:0.5 | no method 'nobody' on the class path; found [early, late, rival]",
                "late:1.0 | sparsity must be from 0.0 to 0.99999994, not 1.0",
                "late:-0.1 | sparsity must be from 0.0",
                "late:NaN | sparsity must be from 0.0",
                "late:much | sparsity must be a number, not 'much'",
                "late:depth=3 | unknown option 'depth'; known: [flag, sparsity]",
                "late:flag=maybe | flag must be true or false, not 'maybe'",
                "late:0.5,0.6 | '0.6' has no key",
                "late:0.5,sparsity=0.6 | option 'sparsity' is given twice",
                "late + late:0.1 | names late twice",
                "late + | no method ''",
            })
    void wrongTextIsRefusedByName(String text, String message) {
        assertThatThrownBy(() -> SparsityPolicy.parse(text, DOORS))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining(message);
    }

    @Test
    void textWithoutEndIsRefused() {
        assertThatThrownBy(() -> SparsityPolicy.parse("late+".repeat(1000), DOORS))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining("at most 4096");
    }
}
