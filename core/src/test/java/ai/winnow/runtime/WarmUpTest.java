package ai.winnow.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.BackendException;
import ai.winnow.contract.TinyModel;
import ai.winnow.ir.Role;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.ReferenceProvider;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class WarmUpTest {

    private static final TinyModel TINY = TinyModel.llama(1);

    @Test
    void aRoundRunsOneSequenceTwoAndAllThatASessionHolds() {
        try (SparseModel model = TINY.load(SparsityPolicy.dense(), Map.of());
                Session session = model.newSession()) {
            int free = session.freePages();
            assertThat(rowsOfARound(session))
                    .contains(1, 2, 3)
                    .contains(TinyModel.options().maxStepTokens());
            assertThat(session.freePages()).isEqualTo(free);
        }
    }

    @Test
    void aSmallCacheWarmsUpTheSequencesThatItHolds() {
        ModelOptions options = TinyModel.options().withContextLength(64);
        long two = 2L * 2 * 2 * 4 * 64 * 8 * 4; // sequences, keys and values, layers, heads, rows, headDim, bytes
        try (SparseModel model = load(options.withKvBytes(two));
                Session session = model.newSession()) {
            assertThat(rowsOfARound(session)).contains(1, 2).doesNotContain(3);
        }
    }

    @Test
    void aLoadThatFailsInWarmUpLeavesNoThreadsBehind() throws Exception {
        long before = workers();
        for (int i = 0; i < 3; i++) {
            assertThatThrownBy(() -> load(
                            TinyModel.options().withThreads(4).withKvBytes(1).withWarmUp(true)))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("raise the cache's budget");
        }
        for (int i = 0; i < 500 && workers() > before; i++) {
            Thread.sleep(10); // they are told to end, and do soon
        }
        assertThat(workers()).isLessThanOrEqualTo(before);
    }

    private static long workers() {
        return Thread.getAllStackTraces().keySet().stream()
                .filter(thread -> thread.getName().startsWith("winnow-worker"))
                .count();
    }

    private static SparseModel load(ModelOptions options) {
        return SparseModel.of(
                TINY.config(),
                TINY.source(),
                SparsityPolicy.dense(),
                options,
                Backends.of(List.of(new ReferenceProvider())));
    }

    private static Set<Integer> rowsOfARound(Session session) {
        Set<Integer> rows = new TreeSet<>();
        session.observe((node, operands) -> {
            if (node.site().role() == Role.GATE) {
                rows.add(operands.outRows(0));
            }
        });
        new WarmUp(session).round();
        return rows;
    }
}
