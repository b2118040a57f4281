package ai.winnow.benchmarks;

import ai.winnow.contract.OpCase;
import ai.winnow.contract.PreparedCase;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.runtime.Backends;
import ai.winnow.tensor.Layout;
import java.lang.foreign.Arena;
import java.util.List;

/** One case on one backend, ready to be run again and again: what every benchmark's state holds. */
final class Bench implements AutoCloseable {

    private static final long SEED = 1;

    private final Arena arena = Arena.ofShared();
    private final Workers workers;
    private final PreparedCase prepared;
    private final double bytes;

    private Bench(OpCase declared, Support.Supported support, List<Layout> layouts, int threads, double share) {
        this.workers = new Workers(threads);
        this.prepared = PreparedCase.of(declared, support, layouts, SEED, arena);
        this.bytes = declared.bytes(layouts) * share;
    }

    /**
     * @param backend name of the backend
     * @param order the order of the weights to measure, or null for the one that the backend likes best
     * @param share share of the operands' bytes that a run reads
     */
    static Bench of(
            OpCase declared,
            String backend,
            Layout.@org.jspecify.annotations.Nullable Order order,
            int threads,
            double share) {
        KernelProvider provider = Backends.discover().ready().stream()
                .filter(each -> each.name().equals(backend))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("backend '" + backend + "' is not ready here"));
        return switch (provider.kernelFor(declared.request())) {
            case Support.Supported supported ->
                new Bench(declared, supported, layouts(declared, supported, order), threads, share);
            case Support.Refused refused ->
                throw new IllegalArgumentException(backend + " refuses " + declared + ": " + refused.reason());
        };
    }

    private static List<Layout> layouts(
            OpCase declared, Support.Supported supported, Layout.@org.jspecify.annotations.Nullable Order order) {
        return PreparedCase.layouts(declared, supported).stream()
                .filter(layouts -> order == null || layouts.stream().anyMatch(layout -> layout.order() == order))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("no kernel reads " + declared + " " + order));
    }

    /** Runs the kernel once, and counts its bytes. */
    void run(Traffic traffic) {
        prepared.run(workers);
        traffic.gigabytes += bytes * 1e-9;
    }

    @Override
    public void close() {
        workers.close();
        arena.close();
    }
}
