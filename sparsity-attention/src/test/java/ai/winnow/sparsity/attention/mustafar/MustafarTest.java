package ai.winnow.sparsity.attention.mustafar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.BackendException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.ir.Phase;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.reference.ReferenceProvider;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.KvTraffic;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.attention.ssa.SsaProvider;
import ai.winnow.tensor.DType;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class MustafarTest extends SparsityMethodContract {

    private static final int[] TEXT = TinyModel.windows(3, 1, 90).getFirst();

    @Override
    protected MethodProvider provider() {
        return new MustafarProvider();
    }

    @Override
    protected SparsityMethod zero() {
        return new Mustafar(0, 0, 0, 64);
    }

    @Override
    protected List<SparsityMethod> ladder() {
        return List.of(new Mustafar(0.3f, 0.3f, 0, 64), new Mustafar(0.7f, 0.7f, 0, 64));
    }

    @Override
    protected int[] prompt() {
        return Arrays.copyOf(TEXT, 80);
    }

    @Override
    protected List<String> badSpecs() {
        return List.of(
                "mustafar:keys=-0.1",
                "mustafar:keys=1",
                "mustafar:values=NaN",
                "mustafar:residual=-1",
                "mustafar:unit=100",
                "mustafar:unit=0",
                "mustafar:0.7",
                "mustafar:nobodys=1");
    }

    @Test
    void thePublishedSettingIsTheDefault() {
        assertThat(SparsityPolicy.parse("mustafar", List.of(provider())))
                .isEqualTo(SparsityPolicy.of(Mustafar.uniform(0.7f)))
                .isEqualTo(SparsityPolicy.of(new Mustafar(0.7f, 0.7f, 32, 256)));
    }

    /** The prompt's own logits are those of the dense model, bit for bit: it is pruned behind its last token. */
    @Test
    void aPromptIsReadDense() {
        try (SparseModel dense = load(SparsityPolicy.dense());
                SparseModel sparse = load(SparsityPolicy.of(new Mustafar(0.7f, 0.7f, 0, 64)));
                Session one = dense.newSession();
                Session other = sparse.newSession()) {
            SequenceId sequence = other.open();
            int[] prompt = Arrays.copyOf(TEXT, 80);
            assertThat(other.run(Phase.PREFILL, Batch.of(sequence, prompt)).copyOf(0))
                    .containsExactly(
                            one.run(Phase.PREFILL, Batch.of(one.open(), prompt)).copyOf(0));
        }
    }

    /** In no layer and in no phase: what follows a packed prompt reads it packed, token by token or together. */
    @Test
    void severalRowsReadPackedPagesAsOneDoes() {
        try (SparseModel sparse = load(SparsityPolicy.of(new Mustafar(0.5f, 0.7f, 0, 64)));
                Session session = sparse.newSession()) {
            SequenceId one = session.open();
            session.run(Phase.PREFILL, Batch.of(one, Arrays.copyOf(TEXT, 70)));
            SequenceId fork = session.fork(one);
            float[] together = session.run(Phase.PREFILL, Batch.of(fork, Arrays.copyOfRange(TEXT, 70, 75)))
                    .copyOf(0);
            float[] last = {};
            for (int i = 70; i < 75; i++) {
                last = session.run(Phase.DECODE, Batch.of(one, TEXT[i])).copyOf(0);
            }
            for (int i = 0; i < last.length; i++) {
                assertThat(together[i]).isCloseTo(last[i], within(1e-5f));
            }
        }
    }

    @Test
    void aPagePackedByDecodingIsReadPacked() {
        try (SparseModel sparse = load(SparsityPolicy.of(new Mustafar(0.7f, 0.7f, 10, 64)));
                Session session = sparse.newSession()) {
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, Arrays.copyOf(TEXT, 73)));
            assertThat(read(session, sequence, 73)).isEqualTo(1);
            assertThat(read(session, sequence, 74)).isLessThan(1);
        }
    }

    private static double read(Session session, SequenceId sequence, int token) {
        KvTraffic traffic = new KvTraffic(session);
        session.observe(traffic);
        session.run(Phase.DECODE, Batch.of(sequence, TEXT[token]));
        return traffic.fraction();
    }

    /** After being taken back into a packed page a sequence goes on, and gives the same each time. */
    @Test
    void aSequenceGoesOnInTheMiddleOfAPackedPage() {
        try (SparseModel sparse = load(SparsityPolicy.of(new Mustafar(0.7f, 0.7f, 0, 64)));
                Session session = sparse.newSession()) {
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, TEXT));
            session.truncate(sequence, 40);
            float[] first =
                    session.run(Phase.DECODE, Batch.of(sequence, TEXT[40])).copyOf(0);
            session.truncate(sequence, 40);
            assertThat(session.run(Phase.DECODE, Batch.of(sequence, TEXT[40])).copyOf(0))
                    .containsExactly(first);
        }
    }

    @Test
    void aSequenceThatIsClosedGivesPackedPagesBack() {
        try (SparseModel sparse = load(SparsityPolicy.of(new Mustafar(0.7f, 0.7f, 0, 64)));
                Session session = sparse.newSession()) {
            int free = session.freePages();
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, TEXT));
            assertThatThrownBy(() -> session.run(Phase.PREFILL, Batch.of(sequence, TEXT)))
                    .isInstanceOf(BackendException.class);
            session.close(sequence);
            assertThat(session.freePages()).isEqualTo(free);
        }
    }

    @Test
    void itSaysWhatItKeeps() {
        try (SparseModel sparse = load(SparsityPolicy.of(new Mustafar(0.5f, 0.75f, 8, 64)))) {
            assertThat(sparse.explain())
                    .contains(
                            "of each key 5 and of each value 3 of 8 numbers are kept, but for the newest 8 to 71 rows");
        }
    }

    @Test
    void aCacheOfInt8IsRefused() {
        SparsityPolicy policy = SparsityPolicy.of(Mustafar.uniform(0.7f));
        TinyModel tiny = TinyModel.grouped(2);
        assertThatThrownBy(() -> SparseModel.of(
                        tiny.config(),
                        tiny.source(),
                        policy,
                        TinyModel.options().withKvType(DType.I8),
                        Backends.of(List.of(new ReferenceProvider()))))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining("mustafar")
                .hasMessageContaining("F32 or BF16");
    }

    @Test
    void anotherMethodThatReadsKeysIsRefused() {
        SparsityPolicy policy = SparsityPolicy.parse("mustafar + ssa", List.of(provider(), new SsaProvider()));
        assertThatThrownBy(() -> load(policy))
                .isInstanceOf(IncompatiblePolicyException.class)
                .hasMessageContaining("mustafar and ssa both choose the KEYS");
    }

    /** What is published: at 70 % of keys and values 45 % of the bytes, padding and index included, which are not here. */
    @Test
    void packedPagesOfThePublishedSizeTakeLessThanPublished() {
        for (DType type : List.of(DType.F32, DType.BF16)) {
            KvShape shape = new KvShape(1, 8, 128, 1, 64, type);
            PackedFormat format = new PackedFormat(shape, new KvPacking(0.7f, 0.7f, 32, 256));
            assertThat(format.bytes() / (2.0 * shape.pageBytes())).isLessThan(0.45);
        }
    }

    private static SparseModel load(SparsityPolicy policy) {
        return TinyModel.grouped(2).load(policy, Map.of());
    }
}
