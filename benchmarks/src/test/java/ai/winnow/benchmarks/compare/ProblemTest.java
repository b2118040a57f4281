package ai.winnow.benchmarks.compare;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.contract.OpCases;
import ai.winnow.ir.Phase;
import ai.winnow.kernel.Workers;
import ai.winnow.runtime.Backends;
import ai.winnow.tensor.DType;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Every kind of problem, small: our kernel passes its judge, and a result that is a little wrong does not. */
class ProblemTest {

    private static final List<Problem> PROBLEMS = List.of(
            LinearProblem.dense(1, 64, 48, DType.F32),
            LinearProblem.dense(20, 64, 48, DType.BF16),
            LinearProblem.dense(1, 64, 48, DType.I8),
            LinearProblem.sparse(1, 64, 48, DType.F32, 0.5f),
            LinearProblem.sparse(4, 64, 48, DType.F32, 0.5f),
            LinearProblem.sparseByChannel(64, 48, DType.F32, 0.5f),
            LinearProblem.sparseByTopK(64, 48, DType.F32, 0.5f),
            LinearProblem.masked(64, 48, DType.I8, 0.5f),
            FeedForwardProblem.dense(96, 160, DType.F32),
            FeedForwardProblem.cats(96, 160, DType.BF16, 0.5f),
            FeedForwardProblem.teal(96, 160, DType.I8, 0.5f),
            AttentionProblem.decode(4, 2, 64, 100, DType.F32),
            AttentionProblem.decode(4, 2, 128, 70, DType.I8),
            AttentionProblem.prefill(4, 2, 64, 30, DType.BF16),
            OpProblem.reading(
                    Problem.Label.of("rms-norm", DType.F32, "3x48"), OpCases.rmsNorm(Phase.PREFILL, 3, 1, 48, 48)));

    @TestFactory
    Stream<DynamicTest> ourResultIsRightAndAnotherOneIsNot() {
        return PROBLEMS.stream()
                .map(problem -> DynamicTest.dynamicTest(problem.label().toString(), () -> {
                    try (Workers workers = new Workers(2);
                            Ours ours = new Ours(Backends.discover(), workers, new Rounds());
                            Entry entry = problem.open(ours)) {
                        entry.ours().run();
                        float[] result = entry.ours().result();
                        assertThat(entry.oracle().error(result)).isLessThanOrEqualTo(1);
                        assertThat(entry.oracle().error(shifted(result))).isGreaterThan(1);
                        Entry.Sparse sparse = entry.sparse();
                        if (sparse != null) {
                            assertThat(sparse.share()).isBetween(0.3, 0.95);
                            sparse.dense().ours().run();
                        }
                    }
                }));
    }

    /** By 1 % of the greatest magnitude. */
    private static float[] shifted(float[] result) {
        float greatest = 0;
        for (float each : result) {
            greatest = Float.isFinite(each) ? Math.max(greatest, Math.abs(each)) : greatest;
        }
        float[] other = result.clone();
        for (int i = 0; i < other.length; i++) {
            other[i] += 0.01f * greatest;
        }
        return other;
    }

    @TestFactory
    @EnabledOnOs(value = OS.LINUX, architectures = "amd64")
    Stream<DynamicTest> libtorchsAttentionIsOurs() {
        return PROBLEMS.stream()
                .filter(AttentionProblem.class::isInstance)
                .map(problem -> DynamicTest.dynamicTest(problem.label().toString(), () -> {
                    try (Workers workers = new Workers(1);
                            Ours ours = new Ours(Backends.discover(), workers, new Rounds());
                            Entry entry = problem.open(ours);
                            Peer peer = new LibtorchPeer(2)) {
                        Task task = entry.task();
                        assertThat(task).isNotNull();
                        try (Subject subject = peer.open(task).orElseThrow()) {
                            subject.run();
                            assertThat(task.error(subject.result(), 0)).isLessThanOrEqualTo(1);
                            assertThat(task.error(shifted(subject.result()), 0)).isGreaterThan(1);
                        }
                    }
                }));
    }
}
