package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.SparseModel;
import ai.winnow.sparsity.activation.wina.Wina;
import ai.winnow.tensor.DType;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** That the table says what was measured; how fast anything is, no test asks. */
class SpeedTest {

    private static final ModelShape SHAPE = ModelShape.TINY;

    @Test
    void promptsAndTokensAreTakenInTurnsAndTheMedianCounts() {
        List<String> calls = new ArrayList<>();
        SpeedRun run = new SpeedRun(new int[] {7, 8}, 6, 1);
        List<SpeedRun.Times> times = run.time(List.of(recording("a", calls), recording("b", calls)));
        assertThat(times).hasSize(2).allMatch(time -> time.prefill() > 0 && time.token() > 0);
        assertThat(String.join(" ", calls))
                .isEqualTo("a(2) b(2) a(2) b(2) a(2) b(2) a0 a1 a2 a3 b0 b1 b2 b3 a4 a5 b4 b5");
    }

    @Test
    void theByteBoundIsWhatTheModelReads() {
        SpeedRun run = SpeedRun.of(SHAPE, 8, 3, 1);
        WinnowSpeed speed = new WinnowSpeed(
                SHAPE,
                1,
                run,
                new Progress(new PrintStream(new ByteArrayOutputStream(), false, StandardCharsets.UTF_8)));
        try (SparseModel dense = speed.load(SHAPE, DType.BF16);
                SparseModel sparse =
                        dense.withPolicy(SparsityPolicy.of(Wina.of(0.5f).unrotated()), Map.of())) {
            List<Measured> measured = speed.measure(List.of(dense, sparse), DType.BF16);
            Measured first = measured.getFirst();
            long norms = 2L * (2L * SHAPE.layers() + 1) * SHAPE.hiddenSize();
            assertThat(first.bytes()).isCloseTo((double) (SHAPE.bytes(DType.BF16) - norms), within(1.0));
            assertThat(first.headBytes()).isEqualTo(2.0 * SHAPE.vocabSize() * SHAPE.hiddenSize());
            assertThat(measured.getLast().byteBound(first)).isBetween(1.5, 2.0);
            assertThat(measured.getLast().byteBoundWithoutHead(first)).isBetween(1.9, 2.1);
            SpeedTable table = new SpeedTable(SHAPE);
            measured.forEach(table::add);
            assertThat(table.toString()).contains("wina:0.5,rotate=false");
            assertThat(table.speeds()).extracting(Speed::scaledFromLayers).containsOnly(SHAPE.layers());
        }
    }

    private static SpeedRun.Subject recording(String name, List<String> calls) {
        return new SpeedRun.Subject() {
            @Override
            public int prefill(int[] prompt) {
                calls.add(name + "(" + prompt.length + ")");
                return 0;
            }

            @Override
            public int decode(int token) {
                calls.add(name + token);
                return token + 1;
            }
        };
    }
}
