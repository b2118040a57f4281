package ai.winnow.benchmarks;

import ai.winnow.contract.Fill;
import ai.winnow.contract.LinearCases;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Phase;
import ai.winnow.tensor.DType;
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

/** Input-sparse linear layers of one row, against their own dense layer at sparsity 0. */
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
public class SparseLinearBenchmark {

    @Param({"simd"})
    public String backend = "";

    @Param({"1", "2"})
    public int threads;

    /** Inputs x outputs: the projections of Llama-3.2-1B. */
    @Param({"2048x8192", "8192x2048", "2048x2048", "2048x512"})
    public String shape = "";

    @Param({"F32", "BF16", "F16", "I8", "I4"})
    public DType type = DType.F32;

    /** Share of inputs dropped; the threshold is that quantile of inputs that are uniform in [-1, 1]. */
    @Param({"0", "0.25", "0.5", "0.7", "0.9", "0.95"})
    public float sparsity;

    private @Nullable Bench bench;

    @Setup
    public void prepare() {
        String[] sizes = shape.split("x");
        int in = Integer.parseInt(sizes[0]);
        int out = Integer.parseInt(sizes[1]);
        InputSelection selection = new InputSelection.Threshold(sparsity);
        bench = Bench.of(
                LinearCases.sparse(Phase.DECODE, 1, in, out, type, selection, Fill.uniform(-1, 1), false),
                backend,
                null,
                threads,
                1 - sparsity);
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
