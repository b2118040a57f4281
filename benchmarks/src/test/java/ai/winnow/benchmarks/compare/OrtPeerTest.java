package ai.winnow.benchmarks.compare;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** A comparison is worth something only if the peer computes the same. */
class OrtPeerTest {

    @Test
    void oneOnnxNodeComputesTheProductInBothTypes() {
        try (Arena arena = Arena.ofShared();
                Peer peer = new OrtPeer(1)) {
            LinearProblem problem = new LinearProblem(3, 40, 24, random(arena, 3, 40), random(arena, 24, 40), -1);
            assertThat(error(peer, problem, DType.F32, problem.bound())).isLessThan(1);
            assertThat(error(peer, problem, DType.I8, 0.02)).isLessThan(1);
            // The measure itself can fail: an input that is not in the sum is seen.
            LinearProblem other = new LinearProblem(3, 40, 24, problem.x(), problem.weight(), 0.1f);
            assertThat(error(peer, other, DType.F32, problem.bound())).isGreaterThan(1);
        }
    }

    private static double error(Peer peer, LinearProblem problem, DType type, double bound) {
        try (Subject subject = peer.linear(problem, type).orElseThrow()) {
            subject.run();
            return problem.error(subject.result(), bound);
        }
    }

    private static Tensor random(Arena arena, int rows, int columns) {
        Tensor tensor = Tensor.allocate(arena, DType.F32, rows, columns);
        SplittableRandom random = new SplittableRandom(rows);
        for (int i = 0; i < rows * columns; i++) {
            DType.F32.setFloat(tensor.segment(), i, (float) random.nextDouble(-1, 1));
        }
        return tensor;
    }
}
