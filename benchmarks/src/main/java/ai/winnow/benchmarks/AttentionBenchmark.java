package ai.winnow.benchmarks;

import ai.winnow.contract.AttentionCases;
import ai.winnow.contract.KvStep;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.tensor.DType;
import java.util.List;
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

/** Attention of one row over the paged cache, 32 query heads on 8 key-value heads. */
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
public class AttentionBenchmark {

    @Param({"simd"})
    public String backend = "";

    @Param({"1", "2"})
    public int threads;

    @Param({"F32", "BF16", "I8"})
    public DType type = DType.F32;

    @Param({"64", "128"})
    public int headDim;

    @Param({"512", "4096", "32768"})
    public int context;

    private @Nullable Bench bench;

    @Setup
    public void prepare() {
        KvShape shape = new KvShape(1, 8, headDim, 1, context + 1, type);
        KvStep step = KvStep.of(shape, List.of(context), List.of(1));
        bench = Bench.of(AttentionCases.attention(Phase.DECODE, step, 32, 0), backend, null, threads, 1);
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
