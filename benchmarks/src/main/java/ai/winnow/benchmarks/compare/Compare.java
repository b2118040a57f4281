package ai.winnow.benchmarks.compare;

import ai.winnow.kernel.KernelProvider;
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
import java.util.function.Function;

/**
 * Our kernels beside those of other libraries, in one process and in turns. Writes a JSON file, a table and a chart.
 *
 * <p>Arguments: the folder, and the peers to run (libtorch, ort), separated by commas.
 */
public final class Compare {

    private final List<Row> rows = new ArrayList<>();
    private final long start = System.nanoTime();

    private Compare() {}

    static void main(String... arguments) throws IOException {
        if (arguments.length == 0) {
            throw new IllegalArgumentException("expected a folder for the results, and the peers: libtorch,ort");
        }
        new Compare().run(Path.of(arguments[0]), arguments.length > 1 ? arguments[1] : "");
    }

    private void run(Path folder, String peerNames) throws IOException {
        KernelProvider simd = Backends.discover().ready().stream()
                .filter(backend -> backend.name().equals("simd"))
                .findFirst()
                .orElseThrow(() -> new IllegalStateException("the backend simd is not ready here: see winnow doctor"));
        Map<String, Double> read = new LinkedHashMap<>();
        Map<String, Double> fma = new LinkedHashMap<>();
        int most = Math.min(2, Runtime.getRuntime().availableProcessors());
        for (int threads = most; threads >= 1; threads--) {
            List<Peer> peers = peers(peerNames, threads);
            try (Workers workers = new Workers(threads);
                    Limits limits = new Limits(workers)) {
                Contest contest = new Contest(simd, workers, limits, peers);
                if (threads == most) {
                    all(contest);
                } else {
                    few(contest);
                }
                read.put(String.valueOf(threads), limits.medianBandwidth());
                fma.put(String.valueOf(threads), limits.medianFlops());
            } finally {
                peers.forEach(Peer::close);
            }
        }
        Row.Report report = new Row.Report(ReportFiles.machine(), new Row.Limits(read, fma), rows);
        System.out.println(ReportFiles.write(report, folder));
    }

    private static List<Peer> peers(String names, int threads) {
        Map<String, Function<Integer, Peer>> known = new LinkedHashMap<>();
        known.put("libtorch", LibtorchPeer::new);
        known.put("ort", OrtPeer::new);
        List<Peer> peers = new ArrayList<>();
        for (String name : names.isBlank() ? new String[0] : names.split(",")) {
            Function<Integer, Peer> maker = known.get(name.strip());
            if (maker == null) {
                throw new IllegalArgumentException("there is no peer '" + name + "', only " + known.keySet());
            }
            peers.add(maker.apply(threads));
        }
        return peers;
    }

    private void all(Contest contest) {
        for (DType type : List.of(DType.F32, DType.BF16, DType.F16, DType.I8)) {
            add(contest.dense(1, 4096, 11008, type));
            add(contest.dense(128, 2048, 8192, type));
        }
        for (DType type : List.of(DType.F32, DType.BF16, DType.I8)) {
            add(contest.dense(1, 11008, 4096, type));
            add(contest.dense(8, 2048, 8192, type));
        }
        for (DType type : List.of(DType.F32, DType.BF16)) {
            add(contest.dense(2, 2048, 8192, type));
            add(contest.dense(32, 2048, 8192, type));
        }
        add(contest.dense(128, 4096, 4096, DType.F32));
        add(contest.dense(128, 768, 3072, DType.F32)); // BERT-base, ViT-B
        add(contest.dense(128, 3072, 768, DType.F32));
        for (DType type : List.of(DType.F32, DType.BF16, DType.I8)) {
            for (float sparsity : new float[] {0, 0.5f, 0.7f, 0.9f}) {
                add(contest.sparse(4096, 11008, type, sparsity));
            }
        }
        for (DType type : List.of(DType.F32, DType.BF16)) {
            add(contest.decodeAttention(32, 8, 64, 4096, type));
            add(contest.decodeAttention(32, 8, 128, 4096, type));
            add(contest.prefillAttention(32, 8, 64, 512, type));
        }
    }

    private void few(Contest contest) {
        for (DType type : List.of(DType.F32, DType.BF16, DType.I8)) {
            add(contest.dense(1, 4096, 11008, type));
            add(contest.sparse(4096, 11008, type, 0.5f));
        }
        add(contest.dense(128, 2048, 8192, DType.F32));
        add(contest.dense(128, 2048, 8192, DType.BF16));
    }

    private void add(Row row) {
        rows.add(row);
        System.out.printf(
                Locale.ROOT,
                "[%5.1f s] %-18s %-5s %-12s %s %s: %.3f ms, %.0f %% of the limit%n",
                (System.nanoTime() - start) / 1e9,
                row.kernel(),
                row.dtype(),
                row.shape(),
                row.params(),
                row.threads() == 1 ? "1 thread" : row.threads() + " threads",
                row.oursMs(),
                100 * row.limitFraction());
    }
}
