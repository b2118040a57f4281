package ai.winnow.benchmarks.compare;

import ai.winnow.contract.OpCase;
import ai.winnow.contract.PreparedCase;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.runtime.Backends;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Our side: the backend simd on some threads. */
final class Ours implements AutoCloseable {

    static final long SEED = 1;

    private final Backends backends;
    private final KernelProvider provider;
    private final Workers workers;
    private final Rounds rounds;

    /** The last dense kernel that sparse ones were timed beside; many of them in a row want the same. */
    private @Nullable Dense dense;

    Ours(Backends backends, Workers workers, Rounds rounds) {
        this.backends = backends;
        this.provider = backends.ready().stream()
                .filter(backend -> backend.name().equals("simd"))
                .findFirst()
                .orElseThrow(() -> new IllegalStateException("the backend simd is not ready here: see winnow doctor"));
        this.workers = workers;
        this.rounds = rounds;
    }

    Backends backends() {
        return backends;
    }

    Workers workers() {
        return workers;
    }

    /**
     * A case on one of our kernels.
     *
     * @param first one of the copies: all hold the same numbers
     * @param bytes of all operands
     * @param arena closed with the subject
     */
    record Prepared(Subject subject, PreparedCase first, long bytes, Arena arena) {}

    /**
     * In the layout that the planner would choose.
     *
     * @param share of the operands' bytes that is read: what is never read does not drive the rest out of a cache
     */
    Prepared open(OpCase declared, double share) {
        Support.Supported support = support(declared);
        return open(declared, support, PreparedCase.layouts(declared, support).getFirst(), share);
    }

    /**
     * A dense case in the layout that is the fastest for it alone.
     *
     * @param task what peers are asked to compute
     */
    Dense dense(OpCase declared, Function<Prepared, Task> task) {
        return dense(declared.name(), () -> {
            Prepared fastest = openFastest(declared);
            return new Dense(declared.name(), fastest.subject(), task.apply(fastest));
        });
    }

    /** What sparse kernels run beside; it stays open until another one is asked for. */
    Dense dense(String name, Supplier<Dense> open) {
        Dense now = dense;
        if (now == null || !now.name().equals(name)) {
            close();
            now = open.get();
            dense = now;
        }
        return now;
    }

    private Prepared openFastest(OpCase declared) {
        Support.Supported support = support(declared);
        List<Prepared> ways = PreparedCase.layouts(declared, support).stream()
                .map(layouts -> open(declared, support, layouts, 1))
                .toList();
        List<Subject> subjects = ways.stream().map(Prepared::subject).toList();
        return ways.get(subjects.indexOf(rounds.fastest(subjects)));
    }

    private Support.Supported support(OpCase declared) {
        return switch (provider.kernelFor(declared.request())) {
            case Support.Supported supported -> supported;
            case Support.Refused refused ->
                throw new IllegalArgumentException(provider.name() + " refuses " + declared + ": " + refused.reason());
        };
    }

    private Prepared open(OpCase declared, Support.Supported support, List<Layout> layouts, double share) {
        Arena arena = new Memory().arena();
        List<Tensor> values = declared.inputs(SEED, arena);
        PreparedCase first = PreparedCase.of(declared, support, layouts, values, arena);
        long bytes = declared.bytes(layouts);
        List<PreparedCase> copies = new ArrayList<>(List.of(first));
        while (copies.size() < Rotation.copies((long) (bytes * share))) {
            copies.add(first.copy(arena));
        }
        Subject subject = new Rotation<>(
                first.kernel().name(),
                copies,
                copy -> copy.run(workers),
                copy -> copy.results().getFirst().toFloats(),
                arena::close);
        return new Prepared(subject, first, bytes, arena);
    }

    /** Frees what stayed open. */
    @Override
    public void close() {
        if (dense != null) {
            dense.close();
            dense = null;
        }
    }
}
