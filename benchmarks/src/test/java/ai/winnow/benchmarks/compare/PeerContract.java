package ai.winnow.benchmarks.compare;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.benchmarks.compare.Task.FourBitTask;
import ai.winnow.benchmarks.compare.Task.LinearTask;
import ai.winnow.contract.Fill;
import ai.winnow.contract.PackedWeight;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** A comparison is worth something only if the peer computes the same. */
abstract class PeerContract {

    private static final int IN = 512;
    private static final int OUT = 96;

    /** The peer, with two threads. */
    abstract Peer peer();

    /** What weights may be kept in. */
    abstract List<DType> types();

    @TestFactory
    Stream<DynamicTest> aLinearLayerIsTheOracles() {
        return types().stream().flatMap(type -> Stream.of(1, 3, 20)
                .map(rows -> DynamicTest.dynamicTest(rows + " rows, " + type, () -> {
                    try (Arena arena = Arena.ofShared();
                            Peer peer = peer()) {
                        requireSame(peer, linear(rows, type, arena));
                    }
                })));
    }

    /** Sizes of the groups of 4-bit weights that it takes. */
    abstract List<Integer> groups();

    @TestFactory
    Stream<DynamicTest> aLinearLayerOfFourBitsIsTheOracles() {
        return groups().stream().flatMap(group -> Stream.of(1, 20)
                .map(rows -> DynamicTest.dynamicTest(rows + " rows, groups of " + group, () -> {
                    try (Arena arena = Arena.ofShared();
                            Peer peer = peer()) {
                        requireSame(peer, fourBit(rows, group, arena));
                    }
                })));
    }

    /** The judge is no rubber stamp: one input that is not in the sum is seen. */
    @TestFactory
    Stream<DynamicTest> aMissingInputIsSeen() {
        return types().stream()
                .map(type -> DynamicTest.dynamicTest(type.toString(), () -> {
                    try (Arena arena = Arena.ofShared();
                            Peer peer = peer()) {
                        LinearTask task = linear(1, type, arena);
                        Tensor fewer = Tensor.allocate(arena, DType.F32, 1, IN);
                        MemorySegment.copy(task.x().segment(), 0, fewer.segment(), 0, 4L * IN);
                        DType.F32.setFloat(fewer.segment(), IN / 2, 0);
                        LinearTask other = new LinearTask(1, IN, OUT, type, fewer, task.weight());
                        try (Subject subject = peer.open(other).orElseThrow()) {
                            subject.run();
                            assertThat(task.error(subject.result(), subject.inputRounding()))
                                    .isGreaterThan(1);
                        }
                    }
                }));
    }

    private static void requireSame(Peer peer, Task task) {
        try (Subject subject = peer.open(task).orElseThrow()) {
            for (int i = 0; i < 3; i++) { // several copies
                subject.run();
                assertThat(task.error(subject.result(), subject.inputRounding()))
                        .isLessThan(1);
            }
        }
    }

    private static LinearTask linear(int rows, DType type, Arena arena) {
        Layout layout = type == DType.I8 ? new Layout.ScaledRows(Order.ROW_MAJOR) : Layout.ROW_MAJOR;
        Tensor weight =
                PackedWeight.of(random(arena, 2, OUT, IN), type, layout, arena).meaning();
        return new LinearTask(rows, IN, OUT, type, random(arena, 1, rows, IN), weight);
    }

    private static FourBitTask fourBit(int rows, int group, Arena arena) {
        Tensor x = random(arena, 1, rows, IN);
        FourBitTask task = FourBitTask.quantised(rows, IN, OUT, group, x, random(arena, 2, OUT, IN), arena);
        task.elements().segment().set(ValueLayout.JAVA_BYTE, 5, (byte) -8); // what rounding never gives
        return task;
    }

    private static Tensor random(Arena arena, long seed, long rows, long columns) {
        Tensor tensor = Tensor.allocate(arena, DType.F32, rows, columns);
        Fill.normal(1).fill(tensor, new SplittableRandom(seed));
        return tensor;
    }
}
