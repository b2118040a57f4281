package ai.winnow.benchmarks.compare;

import ai.winnow.kernel.Workers;
import ai.winnow.kernels.simd.limits.MachineLimits;
import ai.winnow.tensor.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The machine's limits, timed in the same rounds as the kernels, for one number of threads. */
final class Limits implements AutoCloseable {

    static final String READ = "limit: read";
    static final String FMA = "limit: fma";

    private static final long BYTES = 256L << 20;
    private static final int STEPS = 200_000;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory = NativeMemory.allocate(arena, BYTES);
    private final Workers workers;
    private final double flops;
    private final List<Double> reads = new ArrayList<>();
    private final List<Double> multiplications = new ArrayList<>();

    Limits(Workers workers) {
        this.workers = workers;
        this.memory.fill((byte) 0);
        this.flops = MachineLimits.multiplyAdd(1, workers) * (double) STEPS;
    }

    /** The loops to time. */
    Map<String, Runnable> subjects() {
        Map<String, Runnable> subjects = new LinkedHashMap<>();
        subjects.put(READ, () -> MachineLimits.read(memory, workers));
        subjects.put(FMA, () -> MachineLimits.multiplyAdd(STEPS, workers));
        return subjects;
    }

    /** Bytes a nanosecond: gigabytes a second. */
    double bandwidth(Map<String, Double> times) {
        double bandwidth = BYTES / times.getOrDefault(READ, Double.NaN);
        reads.add(bandwidth);
        return bandwidth;
    }

    /** Floating point operations a nanosecond. */
    double flops(Map<String, Double> times) {
        double rate = flops / times.getOrDefault(FMA, Double.NaN);
        multiplications.add(rate);
        return rate;
    }

    double medianBandwidth() {
        return Rounds.median(reads);
    }

    double medianFlops() {
        return Rounds.median(multiplications);
    }

    @Override
    public void close() {
        arena.close();
    }
}
