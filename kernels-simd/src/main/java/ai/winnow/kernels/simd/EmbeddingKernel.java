package ai.winnow.kernels.simd;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/**
 * Rows of a table {@code [vocabulary, hidden]}, widened to f32.
 *
 * @param scalesAt where the scales of an I8 table begin
 */
record EmbeddingKernel(DType type, int hidden, long scalesAt) implements Kernel {

    @Override
    public String name() {
        return type.name().charAt(0) + type.name().substring(1).toLowerCase(Locale.ROOT) + "Embedding";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        MemorySegment ids = operands.in(0);
        MemorySegment table = operands.in(1);
        MemorySegment y = operands.out(0);
        int rows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            int id = ids.get(Lanes.INT, 4L * row);
            long from = type.bytes((long) id * hidden);
            long to = 4L * hidden * row;
            switch (type) {
                case F32 -> MemorySegment.copy(table, from, y, to, 4L * hidden);
                case BF16 -> Conversions.bf16ToFloat(table, from, y, to, hidden);
                case F16 -> Conversions.f16ToFloat(table, from, y, to, hidden);
                default ->
                    Conversions.int8ToFloat(table, from, table.get(Lanes.FLOAT, scalesAt + 4L * id), y, to, hidden);
            }
        }
    }
}
