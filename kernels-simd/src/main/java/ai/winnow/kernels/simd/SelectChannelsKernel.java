package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.ir.SelectChannels;
import ai.winnow.kernel.Kernel;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.util.Objects;

/** A few numbers of each head: too few to be worth a vector. */
record SelectChannelsKernel(SelectChannels op) implements Kernel {

    @Override
    public String name() {
        return "SelectChannels";
    }

    @Override
    public void run(Operands operands, Workspace workspace) {
        long heads = (long) operands.inRows(0) * op.heads();
        long listed = operands.input(1).shape().max(1);
        int shared = op.heads() / op.groups();
        for (long head = 0; head < heads; head++) {
            long from = operands.inAddress(0) + 4 * head * op.headDim();
            long to = operands.outAddress(0) + 4 * head * op.width();
            long channels = operands.inAddress(1) + 4 * (head % op.heads() / shared * listed);
            for (int j = 0; j < op.width(); j++) {
                int channel = Objects.checkIndex(ALL.get(INT, channels + 4L * j), op.headDim());
                ALL.set(FLOAT, to + 4L * j, ALL.get(FLOAT, from + 4L * channel));
            }
        }
    }
}
