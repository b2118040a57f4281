package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.StatisticalTopK;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** Soft threshold of each row of {@code x [rows, width]}: read three times (all but the first from cache), written once. */
record StatisticalTopKKernel(StatisticalTopK op) implements Kernel, Workers.Task {

    @Override
    public String name() {
        return "F32StatisticalTopK";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long elements = (long) operands.inRows(0) * op.width();
        workspace.workers().run(this, operands, workspace, Parts.count(workspace, elements, Parts.ELEMENTS));
    }

    @Override
    public void run(Operands operands, Workspace workspace, int part, int parts) {
        int width = op.width();
        int rows = operands.inRows(0);
        int to = Parts.begin(rows, 1, part + 1, parts);
        for (int row = Parts.begin(rows, 1, part, parts); row < to; row++) {
            long x = operands.inAddress(0) + 4L * row * width;
            long y = operands.outAddress(0) + 4L * row * width;
            float mean = Moments.mean(x, width);
            double deviation = Math.sqrt(Moments.variance(x, width, mean));
            float theta = (float) (mean + deviation * op.deviations());
            switch (op.dropped()) {
                case ZERO -> orZero(x, y, theta, width);
                case NEGATIVE_INFINITY -> {
                    if (orInfinity(x, y, theta, width) == 0) {
                        long first = 4L * firstGreatest(x, width);
                        ALL.set(FLOAT, y + first, ALL.get(FLOAT, x + first) - theta);
                    }
                }
            }
        }
    }

    /** y = max(x - theta, 0). */
    private static void orZero(long x, long y, float theta, int n) {
        FloatVector limit = FloatVector.broadcast(F, theta);
        FloatVector zero = FloatVector.zero(F);
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector moved =
                    FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE).sub(limit);
            moved.max(zero).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        for (int i = whole; i < n; i++) {
            ALL.set(FLOAT, y + 4L * i, Math.max(ALL.get(FLOAT, x + 4L * i) - theta, 0));
        }
    }

    /** y = x - theta where x > theta, else negative infinity; returns how many are above. */
    private static int orInfinity(long x, long y, float theta, int n) {
        FloatVector limit = FloatVector.broadcast(F, theta);
        FloatVector infinity = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
        int above = 0;
        int whole = F.loopBound(n);
        for (int i = 0; i < whole; i += COUNT) {
            FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + 4L * i, LE);
            VectorMask<Float> keep = value.compare(VectorOperators.GT, limit);
            above += keep.trueCount();
            infinity.blend(value.sub(limit), keep).intoMemorySegment(ALL, y + 4L * i, LE);
        }
        for (int i = whole; i < n; i++) {
            float value = ALL.get(FLOAT, x + 4L * i);
            boolean keep = value > theta;
            above += keep ? 1 : 0;
            ALL.set(FLOAT, y + 4L * i, keep ? value - theta : Float.NEGATIVE_INFINITY);
        }
        return above;
    }

    /** NaN is greatest. */
    private static int firstGreatest(long x, int n) {
        int best = 0;
        float greatest = ALL.get(FLOAT, x);
        for (int i = 1; i < n && !Float.isNaN(greatest); i++) {
            float value = ALL.get(FLOAT, x + 4L * i);
            if (!(value <= greatest)) {
                greatest = value;
                best = i;
            }
        }
        return best;
    }
}
