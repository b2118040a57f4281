package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Problem.Label;
import ai.winnow.contract.MethodCases;
import ai.winnow.contract.OpCase;
import ai.winnow.contract.OpCases;
import ai.winnow.ir.Activation;
import ai.winnow.ir.CosineReduce.Reduction;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Primitive.Binary.Operator;
import ai.winnow.ir.Rotary;
import ai.winnow.ir.StatisticalTopK.Dropped;
import ai.winnow.kernel.Workers;
import ai.winnow.runtime.Backends;
import ai.winnow.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Our kernels beside those of other libraries, in one process and in turns. Writes a JSON file, a table and charts.
 *
 * <p>Arguments: the folder, the peers to run (libtorch, ort, jlama), separated by commas, and, to run a part only, how its kernels'
 * names begin, separated by commas as well.
 */
public final class Compare {

    private static final List<DType> FLOATS = List.of(DType.F32, DType.BF16);
    private static final List<DType> TYPES = List.of(DType.F32, DType.BF16, DType.I8);
    private static final float[] SPARSITIES = {0, 0.5f, 0.7f, 0.9f};

    private Compare() {}

    /** What is compared with all threads. */
    private static List<Problem> problems() {
        List<Problem> all = new ArrayList<>();
        for (DType type : List.of(DType.F32, DType.BF16, DType.F16, DType.I8)) {
            all.add(LinearProblem.dense(1, 4096, 11008, type));
        }
        for (DType type : TYPES) {
            all.add(LinearProblem.dense(1, 11008, 4096, type));
            all.add(LinearProblem.dense(8, 2048, 8192, type));
            all.add(LinearProblem.dense(128, 2048, 8192, type));
        }
        for (DType type : FLOATS) {
            all.add(LinearProblem.dense(2, 2048, 8192, type));
            all.add(LinearProblem.dense(32, 2048, 8192, type));
        }
        all.add(LinearProblem.dense(128, 2048, 8192, DType.F16));
        all.add(LinearProblem.dense(128, 4096, 4096, DType.F32));
        all.add(LinearProblem.dense(128, 768, 3072, DType.F32)); // BERT-base, ViT-B
        all.add(LinearProblem.dense(128, 3072, 768, DType.F32));
        for (DType type : TYPES) {
            for (float sparsity : SPARSITIES) {
                all.add(LinearProblem.sparse(1, 4096, 11008, type, sparsity));
            }
            if (type == DType.F32) {
                all.add(LinearProblem.sparseByChannel(4096, 11008, type, 0.5f));
                all.add(LinearProblem.sparseByTopK(4096, 11008, type, 0.5f));
            }
            for (float sparsity : new float[] {0.5f, 0.7f}) {
                all.add(LinearProblem.masked(4096, 11008, type, sparsity));
            }
        }
        for (int rows : new int[] {2, 8}) {
            all.add(LinearProblem.sparse(rows, 4096, 11008, DType.F32, 0.5f));
        }
        all.add(LinearProblem.dense(1, 4096, 11008, DType.I4));
        all.add(LinearProblem.dense(8, 2048, 8192, DType.I4));
        for (float sparsity : new float[] {0, 0.5f}) {
            all.add(LinearProblem.sparse(1, 4096, 11008, DType.I4, sparsity));
        }
        for (DType type : FLOATS) {
            all.add(LinearProblem.unstructured(4096, 8192, type, 0.5f));
            all.add(LinearProblem.unstructured(4096, 8192, type, 0.25f));
            all.add(LinearProblem.blocks(4096, 8192, type, 0.5f));
        }
        all.add(LinearProblem.twoOfFour(4096, 8192, DType.F32));
        for (DType type : FLOATS) {
            all.add(FeedForwardProblem.dense(4096, 11008, type));
            for (float sparsity : new float[] {0.5f, 0.9f}) {
                all.add(FeedForwardProblem.cats(4096, 11008, type, sparsity));
                all.add(FeedForwardProblem.teal(4096, 11008, type, sparsity));
            }
        }
        for (DType type : FLOATS) {
            all.add(AttentionProblem.decode(32, 8, 64, 4096, type));
            all.add(AttentionProblem.decode(32, 8, 128, 4096, type));
            all.add(AttentionProblem.prefill(32, 8, 64, 512, type));
        }
        all.add(AttentionProblem.decode(32, 8, 128, 4096, DType.I8));
        all.add(SparseAttentionProblem.prefill(4, 1, 128, 2048, DType.F32, 0.2));
        for (DType type : FLOATS) {
            all.add(SparseAttentionProblem.decode(32, 8, 128, 16384, type, 0.1, true));
            all.add(SparseAttentionProblem.decode(32, 8, 128, 16384, type, 1.0 / 16, false));
        }
        all.add(MethodAttentionProblem.doubleSparsity(32, 8, 128, 32768, false));
        all.add(MethodAttentionProblem.doubleSparsity(32, 8, 128, 32768, true));
        all.add(MethodAttentionProblem.tidalDecode(16, 32, 8, 128, 32768, 1024));
        for (DType type : List.of(DType.F32, DType.BF16)) {
            all.add(MethodAttentionProblem.mustafar(32, 8, 128, 32768, type, 0.7f));
        }
        all.add(MethodAttentionProblem.denseDoubleSparsity(32, 8, 128, 32768, 512));
        all.add(MethodAttentionProblem.denseTidalDecode(16, 32, 8, 128, 32768, 512));
        all.addAll(smallOps());
        return all;
    }

    /** What stands between the products: 512 rows of a model like Llama-7B. */
    private static List<Problem> smallOps() {
        int rows = 512;
        OpCase embedding = OpCases.embedding(Phase.PREFILL, rows, 8192, 4096, DType.BF16);
        int[] everyOther = IntStream.range(0, rows / 2).map(i -> 2 * i).toArray();
        double row = 4.0 * 4096;
        return List.of(
                small("layer-norm", rows + "x4096", MethodCases.layerNorm(Phase.PREFILL, rows, 4096)),
                small("softmax", rows + "x4096", MethodCases.softmax(Phase.PREFILL, rows, 4096, 3)),
                small(
                        "statistical-top-k",
                        rows + "x11008",
                        MethodCases.statisticalTopK(Phase.PREFILL, rows, 11008, Dropped.ZERO)),
                new OpProblem(
                        Label.of("scatter", DType.F32, rows + "x4096").with("rows", rows / 2),
                        MethodCases.scatter(false, rows, 4096, everyOther),
                        Problem.Work.read(2 * row * rows)),
                new OpProblem(
                        Label.of("scatter-add", DType.F32, rows + "x4096").with("rows", rows / 2),
                        MethodCases.scatter(true, rows, 4096, everyOther),
                        Problem.Work.read(2.5 * row * rows)),
                cosine("cosine-greatest", new Reduction.Greatest()),
                cosine("cosine-count", new Reduction.CountAbove(0.1f)),
                small("rms-norm", rows + "x4096", OpCases.rmsNorm(Phase.PREFILL, rows, 1, 4096, 4096)),
                small(
                        "rotary",
                        rows + "x32x128",
                        OpCases.rotary(Phase.PREFILL, rows, 32, new Rotary(128, 128, Rotary.Pairing.HALF_SPLIT))),
                small("silu", rows + "x11008", OpCases.activation(Phase.PREFILL, rows, 11008, Activation.Kind.SILU, 2)),
                small("gelu", rows + "x11008", OpCases.activation(Phase.PREFILL, rows, 11008, Activation.Kind.GELU, 2)),
                small("multiply", rows + "x11008", OpCases.binary(Phase.PREFILL, rows, 11008, Operator.MUL)),
                small("threshold-select", rows + "x11008", OpCases.thresholdSelect(Phase.PREFILL, rows, 11008, 0.5f)),
                new OpProblem(
                        Label.of("gather", DType.F32, rows / 2 + "x4096"),
                        OpCases.gather(Phase.PREFILL, rows, 4096, everyOther),
                        Problem.Work.read(2 * 4.0 * rows / 2 * 4096)),
                new OpProblem(
                        Label.of("embedding", DType.BF16, rows + "x4096"),
                        embedding,
                        Problem.Work.read((2.0 + 4) * rows * 4096)));
    }

    private static Problem cosine(String kernel, Reduction reduction) {
        int rows = 512; // the reference takes seconds for more
        int width = 768;
        return new OpProblem(
                Label.of(kernel, DType.F32, rows + "x" + rows + "x" + width),
                MethodCases.cosineReduce(reduction, rows, rows, width),
                Problem.Work.multiplyAdd(2.0 * rows * rows * width));
    }

    private static Problem small(String kernel, String shape, OpCase declared) {
        return OpProblem.reading(Label.of(kernel, DType.F32, shape), declared);
    }

    /** What is compared with one thread as well. */
    private static List<Problem> fewProblems() {
        List<Problem> few = new ArrayList<>();
        few.add(LinearProblem.dense(1, 4096, 11008, DType.F32));
        few.add(LinearProblem.sparse(1, 4096, 11008, DType.F32, 0.5f));
        few.add(LinearProblem.dense(128, 2048, 8192, DType.F32));
        return few;
    }

    static void main(String... arguments) throws IOException {
        if (arguments.length == 0) {
            throw new IllegalArgumentException("expected a folder for the results, and the peers: libtorch,ort,jlama");
        }
        String peers = arguments.length > 1 ? arguments[1] : "";
        String part = arguments.length > 2 ? arguments[2] : "";
        System.out.println(ReportFiles.write(run(peers, part), Path.of(arguments[0])));
    }

    private static ReportFiles.Report run(String peerNames, String part) throws IOException {
        long start = System.nanoTime();
        List<String> parts = List.of(part.split(","));
        Backends backends = Backends.discover();
        List<Contest.Outcome> outcomes = new ArrayList<>();
        Map<String, Double> read = new LinkedHashMap<>();
        Map<String, Double> fma = new LinkedHashMap<>();
        int most = Math.min(2, Runtime.getRuntime().availableProcessors());
        for (int threads = most; threads >= 1; threads--) {
            List<Problem> problems = (threads == most ? problems() : fewProblems())
                    .stream()
                            .filter(each -> parts.stream().anyMatch(each.label().kernel()::startsWith))
                            .toList();
            if (problems.isEmpty()) {
                continue;
            }
            Rounds rounds = new Rounds();
            List<Peer> peers = peers(peerNames, threads, rounds);
            try (Workers workers = new Workers(threads);
                    Limits limits = new Limits(workers);
                    Ours ours = new Ours(backends, workers, rounds)) {
                Contest contest = new Contest(ours, limits, peers, rounds);
                for (Problem problem : problems) {
                    Contest.Outcome outcome = contest.run(problem);
                    outcomes.add(outcome);
                    print(start, outcome.row());
                }
                read.put(String.valueOf(threads), limits.medianBandwidth());
                fma.put(String.valueOf(threads), limits.medianFlops());
            } finally {
                peers.forEach(Peer::close);
            }
        }
        return new ReportFiles.Report(ReportFiles.machine(), new Row.Limits(read, fma), outcomes);
    }

    private static List<Peer> peers(String names, int threads, Rounds rounds) {
        List<Peer> peers = new ArrayList<>();
        for (String name : names.isBlank() ? new String[0] : names.split(",")) {
            peers.add(
                    switch (name.strip()) {
                        case "libtorch" -> new LibtorchPeer(threads);
                        case "ort" -> new OrtPeer(threads, rounds);
                        case "jlama" -> new JlamaPeer(threads, rounds);
                        default ->
                            throw new IllegalArgumentException(
                                    "the peers are libtorch, ort and jlama, not '" + name + "'");
                    });
        }
        return peers;
    }

    private static void print(long start, Row row) {
        System.out.printf(
                Locale.ROOT,
                "[%5.1f s] %-18s %-5s %-12s %s %s: %.3f ms, %.0f %% of the limit, beside %s%n",
                (System.nanoTime() - start) / 1e9,
                row.kernel(),
                row.dtype(),
                row.shape(),
                row.params(),
                row.threads() == 1 ? "1 thread" : row.threads() + " threads",
                row.oursMs(),
                100 * row.limitFraction(),
                row.peersMs());
    }
}
