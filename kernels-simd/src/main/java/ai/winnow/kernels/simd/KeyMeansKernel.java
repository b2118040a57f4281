package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.KeyMeans;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import jdk.incubator.vector.FloatVector;

/** The means of those units of keys that a step added to, a (sequence, head) a task. Traffic: the keys of these units once. */
final class KeyMeansKernel implements Kernel, Workers.Task {

    /** Rows below which a second thread costs more than it brings. */
    private static final int PART_ROWS = 64;

    private final KeyMeans op;
    private final KvShape shape;
    private final KvPlane plane;
    private final long rowBytes;
    private final long bytes;

    KeyMeansKernel(KeyMeans op) {
        this.op = op;
        this.shape = op.shape();
        this.plane = op.plane();
        this.rowBytes = Tensor.align(4L * plane.width());
        this.bytes = 2 * rowBytes;
    }

    @Override
    public String name() {
        return PageRows.type(shape.dtype()) + "KeyMeans";
    }

    @Override
    public long workspaceBytes() {
        return Parts.scratch(bytes, Parts.MOST);
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.inRows(0);
        if (rows > 0) {
            workspace.workers().run(this, operands, workspace, Parts.count(workspace, rows, PART_ROWS));
        }
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        long scratch = Memory.address(workspace.scratch(), Parts.scratch(bytes, part), bytes);
        int rows = operands.inRows(0);
        int task = 0;
        for (int row = 0; row < rows; ) {
            int sequence = operands.in(0).get(INT, 4L * row);
            int next = operands.in(1).get(INT, 4L * (sequence + 1));
            if (next <= row || next > rows) {
                throw new IllegalArgumentException(
                        "row " + row + " of " + rows + " belongs to sequence " + sequence + ", which ends at " + next);
            }
            int slot = operands.in(2).get(INT, 4L * sequence);
            for (int head = 0; head < shape.heads(); head++) {
                if (task++ % parts == part) {
                    means(operands, slot, head, next - row, scratch);
                }
            }
            row = next;
        }
    }

    private void means(Operands operands, int slot, int head, int rows, long scratch) {
        int length = operands.in(5).get(INT, 4L * shape.headIndex(slot, op.layer(), head));
        int end = length + rows;
        Objects.checkFromToIndex(0, (end - 1) / KvShape.PAGE_ROWS + 1, shape.pagesPerHead());
        for (int unit = length / plane.unit(); unit * plane.unit() < end; unit++) {
            int from = unit * plane.unit();
            long entry = shape.tableIndex(slot, op.layer(), head) + from / KvShape.PAGE_ROWS;
            long page = operands.in(4).get(INT, 4 * entry);
            int row = from % KvShape.PAGE_ROWS;
            int count = Math.min(plane.unit(), end - from);
            long keys = Memory.address(operands.in(6), page * shape.pageBytes(), shape.pageBytes());
            sum(keys, row, count, scratch);
            store(operands.in(3), page, row / plane.unit(), 1f / count, scratch);
        }
    }

    private void sum(long page, int row, int count, long sum) {
        int width = plane.width();
        Lanes.zero(sum, width);
        for (int i = row; i < row + count; i++) {
            long element = shape.rowAt(0, i);
            long numbers = sum + rowBytes;
            switch (shape.dtype()) {
                case F32 -> numbers = page + 4 * element;
                case BF16 -> Conversions.bf16ToFloat(page + 2 * element, numbers, width);
                default ->
                    Conversions.int8ToFloat(page + element, ALL.get(FLOAT, page + shape.scaleAt(0, i)), numbers, width);
            }
            add(numbers, sum, width);
        }
    }

    private static void add(long x, long sum, int n) {
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector.fromMemorySegment(F, ALL, sum + 4L * i, LE)
                    .add(FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE))
                    .intoMemorySegment(ALL, sum + 4L * i, LE);
        }
        for (; i < n; i++) {
            ALL.set(FLOAT, sum + 4L * i, ALL.get(FLOAT, sum + 4L * i) + ALL.get(FLOAT, x + 4L * i));
        }
    }

    private void store(MemorySegment pool, long page, int unit, float share, long sum) {
        long to = Memory.address(pool, page * plane.pageBytes(), plane.pageBytes());
        for (int d = 0; d < plane.width(); d++) {
            float mean = ALL.get(FLOAT, sum + 4L * d) * share;
            long element = plane.at(0, d, unit);
            if (plane.dtype() == DType.BF16) {
                ALL.set(SHORT, to + 2 * element, DType.floatToBf16(mean));
            } else {
                ALL.set(FLOAT, to + 4 * element, mean);
            }
        }
    }
}
