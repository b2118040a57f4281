package ai.winnow.benchmarks;

import ai.winnow.contract.OpCases;
import ai.winnow.ir.Phase;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Normalisation of rows. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
        value = 3,
        jvmArgsAppend = {
            "-Xms2g",
            "-Xmx2g",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
        })
public class RmsNormBenchmark {

    @Param({"simd"})
    public String backend = "";

    @Param({"1", "2"})
    public int threads;

    @Param({"2048", "4096"})
    public int width;

    @Param({"1", "128"})
    public int rows;

    private @Nullable Bench bench;

    @Setup
    public void prepare() {
        Phase phase = rows == 1 ? Phase.DECODE : Phase.PREFILL;
        bench = Bench.of(OpCases.rmsNorm(phase, rows, 1, width, width), backend, null, threads, 1);
    }

    @TearDown
    public void close() {
        Objects.requireNonNull(bench).close();
    }

    @Benchmark
    public void run(Traffic traffic) {
        Objects.requireNonNull(bench).run(traffic);
    }
}
