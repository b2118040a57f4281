package ai.winnow.sparsity.attention.tca;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.io.Artefact;
import ai.winnow.ir.KvRetain;
import ai.winnow.ir.Phase;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The contract, with blocks of 4: its texts have 29 tokens. */
class TcaAttentionTest extends SparsityMethodContract {

    private static final int[] TEXT = TinyModel.windows(31, 1, 60).getFirst();

    private static TcaAttention small(float tau, float mu, float sigma) {
        return new TcaAttention(tau, mu, sigma, 4, 1, 2, 8);
    }

    @Override
    protected MethodProvider provider() {
        return new TcaAttentionProvider();
    }

    @Override
    protected SparsityMethod zero() {
        return small(1, 0, 0);
    }

    @Override
    protected List<SparsityMethod> ladder() {
        return List.of(small(0.8f, 0, 0), small(0, 1, 0.5f), small(0, 0, 0));
    }

    @Override
    protected double luck() {
        return 0.3; // of a few tokens chosen by a random model
    }

    @Override
    protected List<String> badSpecs() {
        return List.of(
                "tca-attention:tau=-0.1",
                "tca-attention:tau=2",
                "tca-attention:tau=NaN",
                "tca-attention:block=48",
                "tca-attention:block=1",
                "tca-attention:mu=7",
                "tca-attention:window=0",
                "tca-attention:probes=0",
                "tca-attention:sink=-1",
                "tca-attention:0.5",
                "tca-attention:nobodys=1");
    }

    @Test
    void theFamilyIsThatOfTheCard() {
        Configuration of8 = Configuration.of(8, 1, 1);
        float[] expected = {0.258274f, 0.425822f, 0.258274f, 0.057629f};
        for (int i = 0; i < expected.length; i++) {
            assertThat(of8.shares().get(i)).isCloseTo(expected[i], within(1e-6f));
        }
        assertThat(of8.density()).isCloseTo(0.325506, within(1e-6));
        assertThat(Configuration.of(8, 3, 1).density()).isCloseTo(0.763552, within(1e-6));
        assertThat(Configuration.of(8, 0, 0.5).density()).isCloseTo(0.140007, within(1e-6));
        assertThat(Configuration.of(64, 3, 1.5).density()).isCloseTo(0.197891, within(1e-6));
    }

    @Test
    void densityGrowsWithTheCentre() {
        double before = 0;
        for (double mu = 0; mu <= 6; mu += 0.5) {
            double density = Configuration.of(64, mu, 1).density();
            assertThat(density).isGreaterThan(before);
            before = density;
        }
    }

    @Test
    void everyBlockIsCountedOnce() {
        for (Configuration each : HeadConfigurations.candidates(64)) {
            for (int blocks = 1; blocks <= 200; blocks++) {
                int[] counts = each.counts(blocks);
                assertThat(Arrays.stream(counts).sum())
                        .as("%s of %s", blocks, each)
                        .isEqualTo(blocks);
                assertThat(Arrays.stream(counts)).allMatch(count -> count >= 0);
            }
        }
    }

    @Test
    void blocksKeepACountOfTheFamilyBesideTheirForcedTokens() {
        SplittableRandom random = new SplittableRandom(5);
        CoreTokens rule = new CoreTokens(4, 20);
        for (int length : List.of(93, 128, 200, 777)) {
            float[] importance = new float[length];
            for (int i = 0; i < length; i++) {
                importance[i] = (float) random.nextDouble();
            }
            boolean[] kept = rule.choose(importance, 0, Configuration.of(64, 2, 1));
            for (int i = 0; i < length; i++) {
                assertThat(kept[i] || (i >= 4 && i < length - 20))
                        .as("row " + i)
                        .isTrue();
            }
            for (int from = 64; from + 64 <= length - 20; from += 64) {
                int first = from;
                long count =
                        IntStream.range(from, from + 64).filter(i -> kept[i]).count();
                assertThat(Long.bitCount(count))
                        .as("kept of the block at %s", first)
                        .isEqualTo(1);
            }
        }
    }

    @Test
    void equalTokensGoToTheEarlierAndNaNIsKept() {
        CoreTokens rule = new CoreTokens(0, 1);
        float[] importance = new float[33];
        Arrays.fill(importance, 0.5f);
        assertThat(rows(rule.choose(importance, 0, Configuration.of(8, 1, 0))))
                .containsExactly(0, 1, 8, 9, 16, 17, 24, 25, 32);
        importance[13] = Float.NaN;
        assertThat(rows(rule.choose(importance, 0, Configuration.of(8, 0, 0)))).containsExactly(0, 13, 16, 24, 32);
        assertThat(rows(rule.choose(new float[33], 0, Configuration.of(8, 0, 0))))
                .containsExactly(0, 8, 16, 24, 32);
    }

    @Test
    void whatWasChosenEarlierStays() {
        boolean[] kept = new CoreTokens(0, 1).choose(new float[60], 20, Configuration.of(8, 0, 0));
        assertThat(IntStream.range(0, 20)).allMatch(i -> kept[i]);
        assertThat(rows(kept).stream().filter(i -> i >= 20)).containsExactly(20, 28, 36, 44, 52, 59);
    }

    @Test
    void concentratedBlocksAreTheLeastRedundant() {
        float[] importance = {1, 0, 0, 0, 0.25f, 0.25f, 0.25f, 0.25f, 0, 0, 0, 0};
        assertThat(CoreTokens.redundancy(importance, 0, 4, 1, 1)).isZero();
        assertThat(CoreTokens.redundancy(importance, 0, 4, 1, 2)).isCloseTo(0.25, within(1e-12));
        assertThat(CoreTokens.redundancy(importance, 4, 4, 1, 2)).isCloseTo(0.5, within(1e-12));
        assertThat(CoreTokens.redundancy(importance, 8, 4, 0, 2)).isOne();
    }

    @Test
    void moreAttentionToKeepNeverLowersADensity() {
        try (SparseModel dense = TinyModel.llama(1).load(SparsityPolicy.dense(), Map.of())) {
            double[] before = new double[2];
            for (float tau : new float[] {0.2f, 0.6f, 0.9f, 0.99f}) {
                Map<String, Artefact> artefacts = CalibrationRun.calibrate(
                        dense, SparsityPolicy.of(small(tau, 0, 0)), CalibrationData.of(TinyModel.windows(11, 3, 50)));
                Artefact artefact = artefacts.values().iterator().next();
                for (int layer = 0; layer < 2; layer++) {
                    Tensor shares = artefact.tensor(HeadConfigurations.name(layer));
                    double density = 0;
                    for (int i = 0; i < 3; i++) {
                        density += shares.getFloat(i) * (1 << i) / 4.0;
                    }
                    assertThat(density).isGreaterThanOrEqualTo(before[layer]);
                    before[layer] = density;
                }
            }
        }
    }

    @Test
    void theCacheHoldsOnlyWhatWasKeptAndPositionsGoOn() {
        TcaAttention method = new TcaAttention(0, 0, 0, 16, 1, 4, 8);
        try (SparseModel sparse = TinyModel.llama(1).load(SparsityPolicy.of(method), Map.of());
                SparseModel dense = TinyModel.llama(1).load(SparsityPolicy.dense(), Map.of());
                Session session = sparse.newSession();
                Session full = dense.newSession()) {
            SequenceId sequence = session.open();
            SequenceId other = full.open();
            int[] text = IntStream.range(0, 80).map(i -> TEXT[i % TEXT.length]).toArray();
            session.run(Phase.PREFILL, Batch.of(sequence, text));
            full.run(Phase.PREFILL, Batch.of(other, text));
            assertThat(session.kvBytes(sequence)).isEqualTo(full.kvBytes(other) / 2);
            assertThat(session.length(sequence)).isEqualTo(80);
            session.run(Phase.DECODE, Batch.of(sequence, 3));
            assertThat(session.length(sequence)).isEqualTo(81);
            SequenceId fork = session.fork(sequence);
            float[] after = session.run(Phase.DECODE, Batch.of(sequence, 5)).copyOf(0);
            assertThat(session.run(Phase.DECODE, Batch.of(fork, 5)).copyOf(0)).isEqualTo(after);
            session.truncate(sequence, 0);
            assertThat(session.kvBytes(sequence)).isZero();
        }
    }

    /** What the first prompt left is not thinned again, however often the sequence is taken back to it and goes on. */
    @Test
    void laterPromptsKeepWhatTheFirstKept() {
        TcaAttention method = new TcaAttention(0, 0, 0, 4, 1, 2, 8);
        int[] prompt = IntStream.range(0, 80).map(i -> TEXT[i % TEXT.length]).toArray();
        try (SparseModel model = TinyModel.llama(1).load(SparsityPolicy.of(method), Map.of());
                Session session = model.newSession()) {
            SequenceId once = session.open();
            session.run(Phase.PREFILL, Batch.of(once, prompt));
            SequenceId often = session.fork(once);
            for (int i = 0; i < 3; i++) {
                session.truncate(often, 70);
                session.run(Phase.PREFILL, Batch.of(often, Arrays.copyOf(TEXT, 12)));
            }
            session.truncate(once, 70);
            session.truncate(often, 70);
            assertThat(decoded(session, often)).isEqualTo(decoded(session, once));
        }
    }

    private static float[] decoded(Session session, SequenceId sequence) {
        return session.run(Phase.DECODE, Batch.of(sequence, 4)).copyOf(0);
    }

    /** The pieces of a prompt depend on what else is in the batch; its last rows decide all the same. */
    @Test
    void oneRowMoreThanAStepDecidesWithAsManyProbes() {
        TcaAttention method = new TcaAttention(0, 0, 0, 4, 1, 2, 8);
        try (SparseModel model = TinyModel.llama(1).load(SparsityPolicy.of(method), Map.of());
                Session session = model.newSession()) {
            List<Integer> rows = new ArrayList<>();
            session.observe((node, operands) -> {
                if (node.op() instanceof KvRetain) {
                    rows.add(operands.inRows(3));
                }
            });
            session.run(Phase.PREFILL, Batch.of(session.open(), Arrays.copyOf(TEXT, 41)));
            assertThat(rows.getLast()).isGreaterThanOrEqualTo(8);
            session.run(
                    Phase.PREFILL,
                    new Batch(List.of(
                            new Batch.Entry(session.open(), Arrays.copyOf(TEXT, 19)),
                            new Batch.Entry(session.open(), Arrays.copyOf(TEXT, 21)))));
            assertThat(rows.getLast()).isGreaterThanOrEqualTo(8);
        }
    }

    @Test
    void textsTooShortToCalibrateOnAreRefused() {
        try (SparseModel dense = TinyModel.llama(1).load(SparsityPolicy.dense(), Map.of())) {
            SparsityPolicy policy = SparsityPolicy.of(TcaAttention.of(0.9f));
            assertThatThrownBy(() ->
                            CalibrationRun.calibrate(dense, policy, CalibrationData.of(TinyModel.windows(11, 2, 30))))
                    .isInstanceOf(IncompatiblePolicyException.class)
                    .hasMessageContaining("more than 324 tokens");
        }
    }

    @Test
    void sharesOfAnotherBlockOrNoneAreRefused() {
        try (SparseModel dense = TinyModel.llama(1).load(SparsityPolicy.dense(), Map.of());
                Arena arena = Arena.ofConfined()) {
            SparsityPolicy policy = SparsityPolicy.of(small(0.9f, 0, 0));
            String fingerprint = dense.weights().source().fingerprint();
            for (float[] shares : List.of(new float[] {1, 0, 0, 1, 0, 0, 0, 0}, new float[] {1, 1, 0, 1, 0, 0})) {
                Tensor tensor = Tensor.copyOf(arena, shares, 2, shares.length / 2);
                Artefact artefact = new Artefact(
                        "tca-attention",
                        new TreeMap<>(),
                        fingerprint,
                        "",
                        Instant.EPOCH,
                        Map.of(HeadConfigurations.name(0), tensor, HeadConfigurations.name(1), tensor));
                assertThatThrownBy(() -> dense.withPolicy(policy, Map.of("tca-attention", artefact)))
                        .isInstanceOf(ArtefactException.class)
                        .hasMessageContaining("calibrate again");
            }
        }
    }

    private static List<Integer> rows(boolean[] kept) {
        return IntStream.range(0, kept.length).filter(i -> kept[i]).boxed().toList();
    }
}
