package ai.winnow.calibrate;

import ai.winnow.method.Calibration;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** F32 rows of all windows, one after the other, in native memory of their own. */
final class Rows implements Calibration.Observer, AutoCloseable {

    private final Arena arena = Arena.ofShared();
    private final long rowBytes;
    private final MemorySegment segment;
    private long filled;

    Rows(long rows, long width) {
        this.rowBytes = 4 * width;
        this.segment = Tensor.allocate(arena, DType.F32, rows, width).segment();
    }

    /** Appends the first {@code rows} rows of {@code values}. */
    @Override
    public void accept(Tensor values, int rows) {
        MemorySegment.copy(values.segment(), 0, segment, filled, rows * rowBytes);
        filled += rows * rowBytes;
    }

    /** Copies rows {@code from} to {@code from + count} to the beginning of {@code target}. */
    void copyTo(Tensor target, long from, int count) {
        MemorySegment.copy(segment, from * rowBytes, target.segment(), 0, count * rowBytes);
    }

    float get(long row, int column) {
        return DType.F32.getFloat(segment, row * rowBytes / 4 + column);
    }

    int width() {
        return (int) (rowBytes / 4);
    }

    @Override
    public void close() {
        arena.close();
    }
}
