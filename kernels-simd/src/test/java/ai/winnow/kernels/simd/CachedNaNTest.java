package ai.winnow.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.contract.AttentionCases;
import ai.winnow.contract.KvStep;
import ai.winnow.contract.OpCase;
import ai.winnow.contract.PreparedCase;
import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A cached row with a number that is none reaches the results that see it, and no others. */
class CachedNaNTest {

    private static final int KEYS = 4;
    private static final int TABLE = 6;

    @ParameterizedTest
    @CsvSource({"F32, 64", "F32, 20", "BF16, 64", "BF16, 20", "I8, 128", "I8, 64", "I8, 20"})
    void itIsSeenWhereTheReferenceSeesIt(DType type, int headDim) {
        KvShape head = new KvShape(1, 1, headDim, 1, 1, type);
        KvStep decode = KvStep.of(head, List.of(130), List.of(1));
        KvStep prefill = KvStep.of(head, List.of(61), List.of(9));
        for (int pool : new int[] {KEYS, KEYS + 1}) {
            for (int row : new int[] {60, 65}) {
                requireSeen(AttentionCases.attention(Phase.DECODE, decode, 5, 0), pool, row);
                requireSeen(AttentionCases.attention(Phase.DECODE, decode, 5, 40), pool, row);
                requireSeen(AttentionCases.attention(Phase.PREFILL, prefill, 5, 0), pool, row);
                requireSeen(AttentionCases.attention(Phase.PREFILL, prefill, 5, 4), pool, row);
            }
        }
    }

    private static void requireSeen(OpCase declared, int pool, int row) {
        try (Arena arena = Arena.ofShared();
                Workers workers = new Workers(1)) {
            List<Tensor> inputs = declared.inputs(7, arena);
            spoil((Attention) declared.op(), inputs, pool, row);
            Support.Supported kernel = (Support.Supported) new SimdProvider().kernelFor(declared.request());
            PreparedCase prepared = PreparedCase.of(
                    declared, kernel, PreparedCase.layouts(declared, kernel).getFirst(), inputs, arena);
            prepared.run(workers);
            float[] expected =
                    declared.reference(prepared.meant(), arena).getFirst().toFloats();
            Tensor found = prepared.results().getFirst();
            for (int i = 0; i < expected.length; i++) {
                assertThat(Float.isNaN(found.getFloat(i)))
                        .as("%s, NaN in row %d of input %d: element %d is NaN", declared, row, pool, i)
                        .isEqualTo(Float.isNaN(expected[i]));
            }
        }
    }

    /** Makes one number of a row of the first sequence NaN. */
    private static void spoil(Attention op, List<Tensor> inputs, int pool, int row) {
        KvShape shape = op.shape();
        float[] numbers = new float[shape.headDim()];
        numbers[3] = Float.NaN;
        long entry = shape.tableIndex(shape.slots() - 1, op.layer(), 0) + row / KvShape.PAGE_ROWS;
        int page = inputs.get(TABLE).segment().getAtIndex(ValueLayout.JAVA_INT, entry);
        MemorySegment segment = inputs.get(pool).segment();
        shape.put(segment, page, row % KvShape.PAGE_ROWS, MemorySegment.ofArray(numbers), 0);
    }
}
