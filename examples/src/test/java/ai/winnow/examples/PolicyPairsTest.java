package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.contract.TinyModel;
import ai.winnow.ir.Phase;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Methods of two modules in one policy: what one chooses does not depend on the other's being there, only on what it makes of the numbers. */
class PolicyPairsTest {

    private static final List<MethodProvider> METHODS = Backends.discoverMethods();

    /** Each way of attending to fewer keys: sparse from few keys on, and with so great a budget that it is dense. */
    private static final Map<String, String> ATTENTION = Map.of(
            "tidal-decode:budget=6,select=0", "tidal-decode:budget=4096,select=0",
            "double-sparsity:budget=6,factor=2,dense=0,from=0,per-head=true",
                    "double-sparsity:budget=4096,factor=2,dense=0,from=0,per-head=true",
            "double-sparsity:budget=6,factor=2,dense=1,from=0,per-head=false",
                    "double-sparsity:budget=4096,factor=2,dense=1,from=0,per-head=false",
            "dhsa:budget=8,block=4,boundaries=fixed,chunk=4,local=4,global=1,tail=0",
                    "dhsa:budget=4096,block=4,boundaries=fixed,chunk=4,local=4,global=1,tail=0",
            "ssa:block=16,blocks=2", "ssa:block=16,blocks=4096",
            "tca-attention:tau=0,block=4,mu=0,window=2,sink=1", "tca-attention:tau=1,block=4,mu=0,window=2,sink=1",
            "mustafar:keys=0.7,values=0.7,residual=0,unit=64", "mustafar:keys=0,values=0");

    private static final List<String> ACTIVATION = List.of("teal:0.5", "cats:0.5", "wina:0.5,rotate=false");

    static Stream<Arguments> pairs() {
        return ATTENTION.keySet().stream().sorted().flatMap(attention -> ACTIVATION.stream()
                .map(activation -> Arguments.of(attention, activation)));
    }

    @ParameterizedTest
    @MethodSource("pairs")
    void bothActTogetherInEitherOrder(String attention, String activation) {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            float[] both = logits(dense, attention + " + " + activation);
            assertThat(logits(dense, activation + " + " + attention)).containsExactly(both);
            assertThat(both).isNotEqualTo(logits(dense, attention)).isNotEqualTo(logits(dense, activation));
            for (float logit : both) {
                assertThat(logit).isFinite();
            }
        }
    }

    @ParameterizedTest
    @MethodSource("pairs")
    void aBudgetOfAllKeysLeavesTheOtherAlone(String attention, String activation) {
        String whole = ATTENTION.get(attention);
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            assertThat(logits(dense, whole + " + " + activation)).containsExactly(logits(dense, activation));
        }
    }

    static Stream<Arguments> rivals() {
        return ATTENTION.keySet().stream()
                // DHSA chooses in prefill, TidalDecode in decoding.
                .filter(each -> !each.startsWith("tidal") && !each.startsWith("dhsa"))
                .map(each -> Arguments.of(each, "tidal-decode:budget=6,select=0"));
    }

    @ParameterizedTest
    @MethodSource("rivals")
    void twoThatChooseKeysAreRefused(String one, String other) {
        try (SparseModel dense = TinyModel.grouped(2).load(SparsityPolicy.dense(), Map.of())) {
            assertThatThrownBy(() -> logits(dense, one + " + " + other))
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining("tidal-decode")
                    .hasMessageContaining(one.substring(0, one.indexOf(":")));
        }
    }

    /** After a prompt of 70 tokens and 3 more. */
    private static float[] logits(SparseModel dense, String text) {
        SparsityPolicy policy = SparsityPolicy.parse(text, METHODS);
        CalibrationData data = CalibrationData.of(TinyModel.windows(11, 2, 30));
        try (SparseModel sparse = dense.withPolicy(policy, CalibrationRun.calibrate(dense, policy, data));
                Session session = sparse.newSession()) {
            SequenceId sequence = session.open();
            int[] prompt = TinyModel.windows(12, 1, 70).getFirst();
            session.run(Phase.PREFILL, Batch.of(sequence, prompt));
            float[] logits = {};
            for (int token : new int[] {3, 1, 4}) {
                logits = session.run(Phase.DECODE, Batch.of(sequence, token)).copyOf(0);
            }
            return logits;
        }
    }
}
