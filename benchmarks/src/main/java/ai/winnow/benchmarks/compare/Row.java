package ai.winnow.benchmarks.compare;

import com.google.gson.annotations.SerializedName;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One kernel beside its peers. The names of the components are those of the JSON, which others read.
 *
 * @param shape {@code outputs x inputs} of a linear layer; what the kernel is about otherwise
 * @param limitFraction share of the machine's limit, measured in the same rounds: of its bandwidth, or of its multiply-adds
 * @param idealFraction sparse rows: the time that skipping for free would take over the time it takes
 * @param ownDenseMs sparse rows: our own dense kernel of the same type in the same rounds
 * @param peersMs peers have no kernels for BF16 and F16 weights; there they compute in F32
 * @param maxError greatest error seen, as a share of what is allowed
 */
record Row(
        String kernel,
        String dtype,
        String shape,
        int threads,
        Map<String, Object> params,
        double oursMs,
        double limitFraction,
        @Nullable Double idealFraction,
        @Nullable Double ownDenseMs,
        Map<String, Double> peersMs,
        boolean checked,
        double maxError) {

    /** Everything that a run writes. */
    record Report(Machine machine, Limits limits, java.util.List<Row> rows) {}

    /** Where it ran. */
    record Machine(String cpu, int cores, String jdk, int vectorBits, String date) {}

    /** What the machine can do at most, by the number of threads: median over the run. */
    record Limits(
            @SerializedName("readGBps") Map<String, Double> readGigabytes,
            @SerializedName("fmaGflops") Map<String, Double> fmaGigaflops) {}
}
