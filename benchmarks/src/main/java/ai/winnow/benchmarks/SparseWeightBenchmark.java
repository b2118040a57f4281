package ai.winnow.benchmarks;

import ai.winnow.contract.LinearCases;
import ai.winnow.ir.Phase;
import ai.winnow.ir.WeightStructure;
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

/** Linear layers of one row and of many over weights with zeros, in the layout that the backend likes best. */
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
public class SparseWeightBenchmark {

    @Param({"simd"})
    public String backend = "";

    @Param({"1", "2"})
    public int threads;

    /** Inputs x outputs: the projections of Llama-3.2-1B. */
    @Param({"2048x8192", "8192x2048", "2048x2048", "2048x512"})
    public String shape = "";

    @Param({"F32", "BF16"})
    public DType type = DType.F32;

    @Param({"1", "128"})
    public int rows;

    /** Where the zeros are: anywhere, or in blocks of 16 outputs of an input. */
    public enum Pattern {
        UNSTRUCTURED,
        BLOCKS
    }

    @Param({"UNSTRUCTURED", "BLOCKS"})
    public Pattern pattern = Pattern.UNSTRUCTURED;

    /** Share of the weight that is not zero. */
    @Param({"0.5", "0.25", "0.1", "0.02"})
    public double density;

    private @Nullable Bench bench;

    @Setup
    public void prepare() {
        String[] sizes = shape.split("x");
        int in = Integer.parseInt(sizes[0]);
        int out = Integer.parseInt(sizes[1]);
        Phase phase = rows == 1 ? Phase.DECODE : Phase.PREFILL;
        WeightStructure structure = pattern == Pattern.BLOCKS
                ? LinearCases.blocks(in, out, density)
                : LinearCases.unstructured(in, out, density);
        bench = Bench.of(
                LinearCases.sparseWeight(phase, rows, in, out, type, structure, false), backend, null, threads, 1);
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
