package ai.winnow.kernels.simd.limits;

import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * What this machine can do at most, as loops to be timed beside kernels in the same run: reading memory, and multiplying and adding
 * in registers. Limits that were measured on another day say little, on a shared host least of all.
 */
public final class MachineLimits {

    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;

    /** Independent sums that hide the latency of an addition. */
    private static final int CHAINS = 12;

    private static final int FLOATS_A_STEP = CHAINS * F.length();
    private static final Operands NO_OPERANDS = Operands.of(List.of(), List.of());

    private MachineLimits() {}

    /** Bits of the vectors that kernels use here. */
    public static int vectorBits() {
        return F.vectorBitSize();
    }

    /**
     * Reads {@code memory} once, cut into one stretch for each thread.
     *
     * @param memory F32; what is left behind whole steps of 12 vectors is not read
     * @return the sum of what was read: a chain that did not end in a result would not be computed
     */
    public static float read(MemorySegment memory, Workers workers) {
        float[] sums = new float[workers.threads()];
        run(workers, (operands, workspace, part, parts) -> {
            long steps = memory.byteSize() / (4L * FLOATS_A_STEP);
            long from = steps * part / parts;
            int count = Math.toIntExact(steps * (part + 1) / parts - from);
            sums[part] = sum(memory, 4L * FLOATS_A_STEP * from, count);
        });
        return sum(sums);
    }

    /**
     * Multiplies and adds in registers.
     *
     * @param steps how often each thread does so with all its vectors
     * @return how many floating point operations that were: two for each element
     */
    public static long multiplyAdd(int steps, Workers workers) {
        float[] sums = new float[workers.threads()];
        run(workers, (operands, workspace, part, parts) -> sums[part] = multiplyAdd(steps, part));
        if (Float.isNaN(sum(sums))) { // never; but the compiler must not leave the loop out
            throw new AssertionError("sums of small numbers are numbers");
        }
        return 2L * FLOATS_A_STEP * steps * workers.threads();
    }

    private static void run(Workers workers, Workers.Task task) {
        Workers.Lease lease = workers.lease();
        try {
            lease.run(task, NO_OPERANDS, new Workspace(MemorySegment.NULL, lease), workers.threads());
        } finally {
            workers.release(lease);
        }
    }

    private static float sum(float[] parts) {
        float sum = 0;
        for (float part : parts) {
            sum += part;
        }
        return sum;
    }

    private static float sum(MemorySegment memory, long from, int steps) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector s4 = s0;
        FloatVector s5 = s0;
        FloatVector s6 = s0;
        FloatVector s7 = s0;
        FloatVector s8 = s0;
        FloatVector s9 = s0;
        FloatVector s10 = s0;
        FloatVector s11 = s0;
        long at = from;
        for (int i = 0; i < steps; i++) {
            s0 = s0.add(load(memory, at, 0));
            s1 = s1.add(load(memory, at, 1));
            s2 = s2.add(load(memory, at, 2));
            s3 = s3.add(load(memory, at, 3));
            s4 = s4.add(load(memory, at, 4));
            s5 = s5.add(load(memory, at, 5));
            s6 = s6.add(load(memory, at, 6));
            s7 = s7.add(load(memory, at, 7));
            s8 = s8.add(load(memory, at, 8));
            s9 = s9.add(load(memory, at, 9));
            s10 = s10.add(load(memory, at, 10));
            s11 = s11.add(load(memory, at, 11));
            at += 4L * FLOATS_A_STEP;
        }
        return s0.add(s1)
                .add(s2.add(s3))
                .add(s4.add(s5).add(s6.add(s7)))
                .add(s8.add(s9).add(s10.add(s11)))
                .reduceLanes(VectorOperators.ADD);
    }

    private static FloatVector load(MemorySegment memory, long at, int chain) {
        return FloatVector.fromMemorySegment(F, memory, at + 4L * F.length() * chain, ByteOrder.nativeOrder());
    }

    /** The sum of all chains, which begin at {@code seed}, {@code seed + 1} and so on, after so many steps. */
    static float multiplyAdd(int steps, int seed) {
        // From memory: C2 makes constants anew at each use, which halves the rate.
        float[] factors = new float[2 * F.length()];
        Arrays.fill(factors, 1e-3f);
        FloatVector x = FloatVector.fromArray(F, factors, 0);
        FloatVector y = FloatVector.fromArray(F, factors, F.length());
        FloatVector s0 = FloatVector.broadcast(F, seed);
        FloatVector s1 = s0.add(1);
        FloatVector s2 = s0.add(2);
        FloatVector s3 = s0.add(3);
        FloatVector s4 = s0.add(4);
        FloatVector s5 = s0.add(5);
        FloatVector s6 = s0.add(6);
        FloatVector s7 = s0.add(7);
        FloatVector s8 = s0.add(8);
        FloatVector s9 = s0.add(9);
        FloatVector s10 = s0.add(10);
        FloatVector s11 = s0.add(11);
        for (int i = 0; i < steps; i++) {
            s0 = x.fma(y, s0);
            s1 = x.fma(y, s1);
            s2 = x.fma(y, s2);
            s3 = x.fma(y, s3);
            s4 = x.fma(y, s4);
            s5 = x.fma(y, s5);
            s6 = x.fma(y, s6);
            s7 = x.fma(y, s7);
            s8 = x.fma(y, s8);
            s9 = x.fma(y, s9);
            s10 = x.fma(y, s10);
            s11 = x.fma(y, s11);
        }
        return s0.add(s1)
                .add(s2.add(s3))
                .add(s4.add(s5).add(s6.add(s7)))
                .add(s8.add(s9).add(s10.add(s11)))
                .reduceLanes(VectorOperators.ADD);
    }
}
