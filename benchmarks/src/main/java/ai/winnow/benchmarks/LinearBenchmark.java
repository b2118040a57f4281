package ai.winnow.benchmarks;

import ai.winnow.contract.LinearCases;
import ai.winnow.ir.Phase;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
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

/** Dense linear layers, of one row (decoding) and of many (prefill). */
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
public class LinearBenchmark {

    @Param({"simd"})
    public String backend = "";

    @Param({"1", "2"})
    public int threads;

    /** Inputs x outputs: the projections of Llama-3.2-1B. */
    @Param({"2048x8192", "8192x2048", "2048x2048", "2048x512"})
    public String shape = "";

    @Param({"F32", "BF16", "F16", "I8", "I4"})
    public DType type = DType.F32;

    @Param({"1", "8", "128"})
    public int rows;

    @Param({"COLUMN_MAJOR", "ROW_MAJOR"})
    public Layout.Order order = Layout.Order.COLUMN_MAJOR;

    private @Nullable Bench bench;

    @Setup
    public void prepare() {
        String[] sizes = shape.split("x");
        Phase phase = rows == 1 ? Phase.DECODE : Phase.PREFILL;
        int in = Integer.parseInt(sizes[0]);
        int out = Integer.parseInt(sizes[1]);
        bench = Bench.of(LinearCases.linear(phase, rows, in, out, type, false), backend, order, threads, 1);
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
