package ai.winnow.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import ai.winnow.io.TensorSource;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive.Binary;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.kernel.Workers;
import ai.winnow.reference.ReferenceProvider;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Kernels read through addresses: what a graph is given must be what it was planned for. */
class GraphRunnerTest {

    private static final int MOST = 4;
    private static final int WIDTH = 3;

    private final Arena arena = Arena.ofShared();
    private final Workers workers = new Workers(1);
    private final Weights weights = new Weights(new NoTensors());
    private final Tensor rows = Tensor.allocate(arena, DType.I32, 1);

    @AfterEach
    void close() {
        weights.close();
        workers.close();
        arena.close();
    }

    private GraphRunner runner(Tensor x) {
        GraphBuilder builder = new GraphBuilder(Phase.PREFILL);
        builder.input("rows", TensorSpec.of(DType.I32, 1));
        Value input = builder.input("x", TensorSpec.rows(DType.F32, new Dim.AtMost(MOST, "rows"), WIDTH));
        Value sum = builder.add(new Binary(Binary.Operator.ADD), Site.global(Role.OTHER), input, input);
        Graph graph = builder.build(List.of(sum));

        return new GraphRunner(
                graph,
                weights,
                Backends.of(List.of(new ReferenceProvider())),
                workers,
                name -> name.equals("x") ? x : rows);
    }

    private void setRows(int count) {
        rows.segment().set(ValueLayout.JAVA_INT, 0, count);
    }

    @Test
    void anInputMustHaveTheTypeTheWidthAndRoomForAllRows() {
        for (Tensor wrong : List.of(
                Tensor.allocate(arena, DType.F32, MOST - 1, WIDTH),
                Tensor.allocate(arena, DType.F32, MOST, WIDTH + 1),
                Tensor.allocate(arena, DType.BF16, 2 * MOST, WIDTH))) {
            assertThatThrownBy(() -> runner(wrong))
                    .isInstanceOf(ShapeException.class)
                    .hasMessageContaining("input x must be ");
        }
        runner(Tensor.allocate(arena, DType.F32, MOST + 1, WIDTH)).close();
    }

    @Test
    void thereAreNoMoreRowsThanMemoryIsLaidOutFor() {
        try (GraphRunner runner = runner(Tensor.copyOf(arena, new float[MOST * WIDTH], MOST, WIDTH))) {
            for (int wrong : new int[] {-1, MOST + 1}) {
                setRows(wrong);
                assertThatThrownBy(() -> runner.run(null))
                        .isInstanceOf(ShapeException.class)
                        .hasMessageContaining(wrong + " rows");
            }
            setRows(MOST);
            assertThat(runner.run(null)).hasSize(1);
        }
    }

    @Test
    void nothingRunsOnceItIsClosedAndItsWeightsStayUntilThen() {
        GraphRunner runner = runner(Tensor.allocate(arena, DType.F32, MOST, WIDTH));
        weights.close();
        setRows(1);
        assertThat(runner.run(null)).hasSize(1);
        runner.close();
        runner.close();
        assertThatThrownBy(() -> runner.run(null)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(weights::retain).isInstanceOf(IllegalStateException.class);
    }

    /** A checkpoint without anything in it. */
    private static final class NoTensors implements TensorSource {
        @Override
        public Set<String> names() {
            return Set.of();
        }

        @Override
        public @Nullable TensorSpec spec(String name) {
            return null;
        }

        @Override
        public Tensor load(String name, Arena arena) {
            throw new ArtefactException("there is no " + name);
        }

        @Override
        public String fingerprint() {
            return "0";
        }

        @Override
        public void close() {
            // There is nothing to let go of.
        }
    }
}
