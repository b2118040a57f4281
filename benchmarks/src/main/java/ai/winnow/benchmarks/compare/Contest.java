package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Entry.Sparse;
import ai.winnow.benchmarks.compare.Rounds.Timed;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Runs one comparison: our kernel, our dense one where it is sparse, the limits and the peers, all in the same rounds. */
record Contest(Ours ours, Limits limits, List<Peer> peers, Rounds rounds) {

    private static final String OURS = "ours";
    private static final String DENSE = "our dense";

    Outcome run(Problem problem) {
        try (Entry entry = problem.open(ours)) {
            Map<String, Subject> opened = new LinkedHashMap<>();
            try {
                return run(problem, entry, opened);
            } finally {
                opened.values().forEach(Subject::close); // before the memory that they share with ours
            }
        }
    }

    private Outcome run(Problem problem, Entry entry, Map<String, Subject> opened) {
        Task task = entry.task();
        if (task != null) {
            peers.forEach(peer -> peer.open(task).ifPresent(subject -> opened.put(peer.name(), subject)));
        }
        Sparse sparse = entry.sparse();
        Map<String, Subject> compared = sparse == null ? opened : sparse.dense().opened(peers);
        Map<String, Double> times = rounds.time(subjects(problem.label(), entry, compared));
        requireSame(problem, sparse == null ? task : sparse.dense().task(), compared);
        double error = entry.oracle().error(entry.ours().result());
        if (!(error <= 1)) {
            throw new IllegalStateException(
                    problem.label() + " is wrong: its error is " + error + " of what is allowed");
        }
        Map<String, String> calls = new LinkedHashMap<>();
        compared.forEach((name, subject) -> calls.put(name, subject.call()));
        return new Outcome(row(problem.label(), entry, times, error), calls);
    }

    /**
     * What came of it.
     *
     * @param calls which of its calls each peer was the fastest with
     */
    record Outcome(Row row, Map<String, String> calls) {}

    /** The peers come last: their threads may go on for a while. */
    private Map<String, Timed> subjects(Problem.Label label, Entry entry, Map<String, Subject> opened) {
        Map<String, Timed> subjects = new LinkedHashMap<>();
        subjects.put(OURS, new Timed(entry.ours()::run, label.code(), false));
        Sparse sparse = entry.sparse();
        if (sparse != null) {
            Subject dense = sparse.dense().ours();
            subjects.put(
                    DENSE, new Timed(dense::run, dense.call() + label.params().get("rows"), false));
        }
        limits.subjects().forEach((name, loop) -> subjects.put(name, new Timed(loop, name, true)));
        opened.forEach((name, subject) -> subjects.put(name, new Timed(subject::run, subject.call(), false)));
        return subjects;
    }

    /** A peer that computes something else would be a weak one. */
    private static void requireSame(Problem problem, @Nullable Task task, Map<String, Subject> opened) {
        opened.forEach((name, subject) -> {
            double error = task == null ? Double.NaN : task.error(subject.result(), subject.inputRounding());
            if (!(error <= 1)) {
                throw new IllegalStateException(
                        name + " computes something else for " + problem.label() + ": its error is " + error);
            }
        });
    }

    private Row row(Problem.Label label, Entry entry, Map<String, Double> times, double error) {
        double nanos = times.getOrDefault(OURS, Double.NaN);
        double read = limits.bandwidth(times);
        double flops = limits.flops(times);
        double rate =
                switch (entry.work().bound()) {
                    case READ -> read;
                    case MULTIPLY_ADD -> flops;
                };
        Map<String, Double> peersMs = new LinkedHashMap<>();
        for (Peer peer : peers) {
            Double time = times.get(peer.name());
            if (time != null) {
                peersMs.put(peer.name(), time / 1e6);
            }
        }
        Double dense = times.get(DENSE);
        Sparse sparse = entry.sparse();
        return new Row(
                label.kernel(),
                label.dtype(),
                label.shape(),
                ours.workers().threads(),
                label.params(),
                nanos / 1e6,
                entry.work().amount() / rate / nanos,
                dense == null || sparse == null ? null : dense * sparse.share() / nanos,
                dense == null ? null : dense / 1e6,
                peersMs,
                true,
                error);
    }
}
