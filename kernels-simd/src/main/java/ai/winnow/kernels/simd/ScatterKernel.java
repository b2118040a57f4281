package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * {@code base [n, width], indices [rows], updates [rows, width] -> [n, width]}, f32: updates in place of the rows of base they name, or
 * added to them. If the indices ascend, as those of kept tokens do, each part walks its rows of the result once: replaced rows of base
 * are not read, and no row is written twice. Else each part takes a stretch of all rows' elements, so that the order of updates is kept.
 *
 * @param add whether updates are added
 */
record ScatterKernel(boolean add, int width) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return add ? "F32ScatterAdd" : "F32Scatter";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        int rows = operands.outRows(0);
        int listed = operands.inRows(1);
        for (int i = 0; i < listed; i++) {
            Objects.checkIndex(ALL.get(Lanes.INT, operands.inAddress(1) + 4L * i), rows);
        }
        long elements = (long) rows * width;
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int rows = operands.outRows(0);
        int listed = operands.inRows(1);
        if (ascends(operands.inAddress(1), listed)) {
            merge(operands, Parts.begin(rows, 1, part, parts), Parts.begin(rows, 1, part + 1, parts), listed);
        } else {
            int from = Parts.begin(width, Parts.GRAIN, part, parts);
            inOrder(operands, rows, listed, from, Parts.begin(width, Parts.GRAIN, part + 1, parts) - from);
        }
    }

    private static boolean ascends(long index, int listed) {
        for (int i = 1; i < listed; i++) {
            if (ALL.get(Lanes.INT, index + 4L * i) <= ALL.get(Lanes.INT, index + 4L * (i - 1))) {
                return false;
            }
        }
        return true;
    }

    private void merge(Operands operands, int from, int to, int listed) {
        long base = operands.inAddress(0);
        long index = operands.inAddress(1);
        long updates = operands.inAddress(2);
        long y = operands.outAddress(0);
        long rowBytes = 4L * width;
        int next = Selection.below(index, listed, from);
        for (int row = from; row < to; row++) {
            long at = rowBytes * row;
            if (next < listed && ALL.get(Lanes.INT, index + 4L * next) == row) {
                long updateAt = rowBytes * next++;
                if (add) {
                    Elementwise.add(base + at, updates + updateAt, y + at, width);
                } else {
                    MemorySegment.copy(ALL, updates + updateAt, ALL, y + at, rowBytes);
                }
            } else {
                MemorySegment.copy(ALL, base + at, ALL, y + at, rowBytes);
            }
        }
    }

    /** Elements {@code from} on of all rows. */
    private void inOrder(Operands operands, int rows, int listed, int from, int count) {
        long index = operands.inAddress(1);
        long y = operands.outAddress(0);
        for (int row = 0; row < rows; row++) {
            long at = 4 * ((long) row * width + from);
            MemorySegment.copy(ALL, operands.inAddress(0) + at, ALL, y + at, 4L * count);
        }
        for (int i = 0; i < listed; i++) {
            long at = 4 * ((long) ALL.get(Lanes.INT, index + 4L * i) * width + from);
            long updateAt = 4 * ((long) i * width + from);
            if (add) {
                Elementwise.add(y + at, operands.inAddress(2) + updateAt, y + at, count);
            } else {
                MemorySegment.copy(ALL, operands.inAddress(2) + updateAt, ALL, y + at, 4L * count);
            }
        }
    }
}
