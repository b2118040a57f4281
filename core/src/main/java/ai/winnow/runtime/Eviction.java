package ai.winnow.runtime;

import ai.winnow.ir.KvRetain;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.kv.KvCache;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Drops, when a step has succeeded, the rows of the cache that its graph did not mark to be kept ({@link KvRetain}). */
final class Eviction {

    private final KvCache cache;
    private final KvShape shape;
    private final Map<Phase, List<KvRetain>> layers = new HashMap<>();
    private final Map<Phase, Integer> probes = new HashMap<>();
    private final Tensor marks;

    Eviction(Plan plan, KvCache cache, Arena arena) {
        this.cache = cache;
        this.shape = cache.shape();
        plan.phases().forEach((phase, steps) -> {
            layers.put(phase, KvRetain.of(steps.graph()));
            probes.put(phase, KvRetain.probes(steps.graph()));
        });
        this.marks = plan.drops()
                ? Tensor.allocate(arena, KvRetain.marks(shape), Layout.ROW_MAJOR)
                : Tensor.allocate(arena, DType.I64, 0);
    }

    /** Rows that the last piece of a prompt should have. */
    int probes(Phase phase) {
        return probes.getOrDefault(phase, 1);
    }

    /** What graphs write their marks to. */
    Tensor marks() {
        return marks;
    }

    /**
     * Drops what a step of {@code phase} did not mark.
     *
     * @return rows that were dropped, of all heads together
     * @throws ai.winnow.BackendException if pages that a fork has as well cannot be left for want of free ones; nothing was dropped then
     */
    long after(Phase phase, int[] slots) {
        List<KvCache.Kept> heads = new ArrayList<>();
        for (int slot : slots) {
            for (KvRetain retain : layers.getOrDefault(phase, List.of())) {
                for (int head = 0; head < shape.heads(); head++) {
                    add(slot, retain, head, heads);
                }
            }
        }
        return heads.isEmpty() ? 0 : cache.retain(heads);
    }

    private void add(int slot, KvRetain retain, int head, List<KvCache.Kept> heads) {
        int layer = retain.layer();
        MemorySegment segment = marks.segment();
        int rows = cache.lengths().segment().getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, layer, head));
        int pages = (rows + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS;
        long first = shape.tableIndex(slot, layer, head);
        int count = 0;
        for (int page = 0; page < pages; page++) {
            count += Long.bitCount(segment.getAtIndex(ValueLayout.JAVA_LONG, first + page));
        }
        if (count >= rows) {
            return;
        }
        int[] kept = new int[count];
        int at = 0;
        for (int page = 0; page < pages; page++) {
            long mask = segment.getAtIndex(ValueLayout.JAVA_LONG, first + page);
            for (; mask != 0; mask &= mask - 1) {
                kept[at++] = page * KvShape.PAGE_ROWS + Long.numberOfTrailingZeros(mask);
            }
        }
        heads.add(new KvCache.Kept(slot, layer, head, kept, Math.max(0, count - retain.recent())));
    }
}
