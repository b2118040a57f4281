package ai.winnow.sparsity.activation;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.Phase;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.activation.cats.Cats;
import ai.winnow.sparsity.activation.teal.Teal;
import ai.winnow.sparsity.activation.wina.Norms;
import ai.winnow.sparsity.activation.wina.Wina;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The methods of this module together. */
class ActivationMethodsTest {

    private static final List<MethodProvider> METHODS = Backends.discoverMethods();

    @Test
    void allAreFound() {
        assertThat(METHODS).extracting(provider -> provider.info().name()).contains("cats", "teal", "wina");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "teal:0.5",
                "teal:0.5,allocation=greedy,mode=topk",
                "cats:0.5",
                "wina:0.5",
                "wina:0.5,mode=threshold,rotate=false,norms=all",
            })
    void policiesAreSpelledAsTheyAreRead(String text) {
        assertThat(SparsityPolicy.parse(text, METHODS)).hasToString(text);
    }

    @Test
    void longAndShortSpellingsAreTheSame() {
        assertThat(parse("teal:sparsity=0.5,allocation=greedy,mode=topk"))
                .isEqualTo(new Teal(0.5f, Allocation.GREEDY, Mode.TOPK));
        assertThat(parse("wina:sparsity=0.5,mode=threshold,rotate=false,norms=all"))
                .isEqualTo(new Wina(0.5f, Mode.THRESHOLD, Norms.ALL, false, Allocation.UNIFORM));
        assertThat(parse("wina")).isEqualTo(Wina.of(0.5f));
    }

    private static SparsityMethod parse(String text) {
        return SparsityPolicy.parse(text, METHODS).methods().getFirst();
    }

    @ParameterizedTest
    @CsvSource({
        "teal:mode=fast,mode must be one of",
        "wina:norms=none,norms must be one of",
        "wina:rotate=maybe,rotate must be true or false",
        "cats:allocation=greedy,unknown option 'allocation'",
    })
    void wrongOptionsAreRefusedByName(String text, String message) {
        assertThatThrownBy(() -> SparsityPolicy.parse(text, METHODS))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining(message);
    }

    @Test
    void wrongNumbersAreRefusedInCodeToo() {
        for (float sparsity : new float[] {-0.1f, 1, Float.NaN}) {
            assertThatThrownBy(() -> Teal.uniform(sparsity)).isInstanceOf(IncompatiblePolicyException.class);
            assertThatThrownBy(() -> Cats.of(sparsity)).isInstanceOf(IncompatiblePolicyException.class);
            assertThatThrownBy(() -> Wina.of(sparsity)).isInstanceOf(IncompatiblePolicyException.class);
        }
    }

    @Test
    void methodsThatChooseTheSameInputsAreRefused() {
        SparsityMethod teal = new Teal(0.5f, Allocation.UNIFORM, Mode.TOPK);
        SparsityMethod wina = Wina.topK(0.5f).unrotated();
        for (SparsityPolicy policy : List.of(
                SparsityPolicy.of(teal, wina),
                SparsityPolicy.of(Cats.of(0.5f), teal),
                SparsityPolicy.of(wina, Cats.of(0.5f)))) {
            try (SparseModel dense = TinyModel.llama(1).load(SparsityPolicy.dense(), Map.of())) {
                Map<Phase, Graph> graphs = Map.of(Phase.DECODE, dense.denseGraph(Phase.DECODE));
                assertThatThrownBy(() -> policy.apply(graphs, method -> Artefact.EMPTY))
                        .isInstanceOf(IncompatiblePolicyException.class)
                        .hasMessageContaining(policy.methods().getFirst().info().name())
                        .hasMessageContaining("both choose the INPUTS of ");
            }
        }
    }

    @Test
    void zeroStrengthConflictsWithNothing() {
        try (SparseModel dense =
                TinyModel.llama(1).load(SparsityPolicy.of(Teal.uniform(0), Wina.of(0), Cats.of(0)), Map.of())) {
            assertThat(dense.explain()).contains("teal:0.0 + wina:0.0 + cats:0.0");
        }
    }
}
