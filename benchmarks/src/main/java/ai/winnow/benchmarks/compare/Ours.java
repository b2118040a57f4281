package ai.winnow.benchmarks.compare;

import ai.winnow.contract.OpCase;
import ai.winnow.contract.PreparedCase;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A case on one of our kernels, in as many copies as it takes to come from memory and not from the cache. */
final class Ours implements Subject {

    /** More than any last-level cache that two cores get to themselves. */
    private static final long COLD_BYTES = 128L << 20;

    private static final int MOST_COPIES = 24;
    private static final long SEED = 1;

    private final Arena arena = Arena.ofShared();
    private final Workers workers;
    private final List<PreparedCase> copies = new ArrayList<>();
    private final long bytes;
    private int next;
    private int last;

    /** @param order how the weight lies, or null for the layout that the kernel likes best */
    Ours(KernelProvider provider, OpCase declared, @Nullable Order order, Workers workers) {
        if (!(provider.kernelFor(declared.request()) instanceof Support.Supported support)) {
            throw new IllegalArgumentException(provider.name() + " has no kernel for " + declared);
        }
        this.workers = workers;
        List<Layout> layouts = PreparedCase.layouts(declared, support).stream()
                .filter(each -> order == null || each.stream().anyMatch(layout -> layout.order() == order))
                .findFirst()
                .orElseThrow();
        this.bytes = declared.bytes(layouts);
        long count = Math.clamp(COLD_BYTES / bytes + 1, 1, MOST_COPIES);
        List<Tensor> values = declared.inputs(SEED, arena);
        for (int i = 0; i < count; i++) {
            copies.add(PreparedCase.of(declared, support, layouts, values, arena));
        }
    }

    /** Bytes of all operands. */
    long bytes() {
        return bytes;
    }

    PreparedCase first() {
        return copies.getFirst();
    }

    @Override
    public void run() {
        last = next;
        next = (next + 1) % copies.size();
        copies.get(last).run(workers);
    }

    @Override
    public float[] result() {
        Tensor result = copies.get(last).results().getFirst();
        return result.toFloats();
    }

    @Override
    public void close() {
        arena.close();
    }
}
