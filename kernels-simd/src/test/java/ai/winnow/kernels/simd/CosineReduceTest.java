package ai.winnow.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.CosineReduce;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.NativeMemory;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the contract's random rows do not have: rows with the same direction. */
class CosineReduceTest {

    /** Twins lie in different lanes, tiles and blocks: the lower one is found, from the other it is the lowest but itself. */
    @ParameterizedTest
    @CsvSource({"0, 1", "0, 16", "5, 300", "17, 34", "255, 256", "250, 263"})
    void ofEqualRowsTheLowerIsFound(int one, int other) {
        int rows = 310;
        int width = 20;
        try (Arena arena = Arena.ofShared();
                Workers workers = new Workers(1)) {
            Tensor x = Tensor.allocate(arena, DType.F32, rows, width);
            SplittableRandom random = new SplittableRandom(5);
            for (int i = 0; i < rows * width; i++) {
                DType.F32.setFloat(x.segment(), i, (float) random.nextGaussian());
            }
            for (int twin : new int[] {one, other}) {
                for (int i = 0; i < width; i++) {
                    DType.F32.setFloat(x.segment(), (long) twin * width + i, x.getFloat(9L * width + i));
                }
            }
            Tensor greatest = Tensor.allocate(arena, DType.F32, rows);
            Tensor index = Tensor.allocate(arena, DType.I32, rows);
            CosineReduce op = new CosineReduce(new CosineReduce.Reduction.Greatest(), true);
            CosineReduceKernel kernel = new CosineReduceKernel(op, width, rows, rows);
            kernel.run(
                    Operands.of(List.of(x), List.of(greatest, index)),
                    new Workspace(NativeMemory.allocate(arena, kernel.workspaceBytes()), workers.lease()));
            List<Integer> twins = IntStream.of(one, 9, other).sorted().boxed().toList();
            assertThat(index.getFloat(twins.get(0))).isEqualTo(twins.get(1).floatValue());
            assertThat(index.getFloat(twins.get(1))).isEqualTo(twins.get(0).floatValue());
            assertThat(index.getFloat(twins.get(2))).isEqualTo(twins.get(0).floatValue());
        }
    }
}
