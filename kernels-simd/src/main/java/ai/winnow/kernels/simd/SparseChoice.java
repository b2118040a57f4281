package ai.winnow.kernels.simd;

import ai.winnow.ir.WeightStructure;
import ai.winnow.tensor.BitmaskPanel16;
import ai.winnow.tensor.BlockSparse16x1;
import ai.winnow.tensor.CompressedRows;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;

/**
 * In which layout a weight with zeros is read fastest, by a table that was measured (docs/decisions/0013): one row of input, which
 * is what decoding has; several rows gain as much or more.
 *
 * @param preferred layouts that are faster than a dense one, the fastest first
 * @param others layouts that can be read, but are slower
 * @param note what was chosen and why, empty for a weight without zeros
 */
record SparseChoice(List<Layout> preferred, List<Layout> others, String note) {

    /** Dense weights up to this size are taken to come from the cache, where there is little to gain from reading less. */
    private static final long CACHED_BYTES = 1 << 20;

    private static final double NEVER = -1;

    /**
     * Up to which density each layout is faster than dense; compressed rows, up to which they are faster than bitmask panels too.
     */
    private record Densities(double blocks, double bitmask, double compressed) {}

    private static final Densities F32_CACHED = new Densities(0.5, NEVER, 0.02);
    private static final Densities BF16_CACHED = new Densities(0.5, NEVER, 0.02);
    private static final Densities F32_MEMORY = new Densities(0.9, 0.7, 0.03);
    private static final Densities BF16_MEMORY = new Densities(0.9, 0.6, 0.04);

    /** With 8 lanes an input of a panel takes two expansions. */
    private static final Densities F32_MEMORY_8_LANES = new Densities(0.9, 0.5, 0.06);

    private static final Densities BF16_MEMORY_8_LANES = new Densities(0.9, NEVER, 0.06);

    static SparseChoice of(TensorSpec spec, WeightStructure structure) {
        boolean kept = spec.dtype() == DType.F32 || spec.dtype() == DType.BF16;
        List<Layout> preferred = new ArrayList<>();
        List<Layout> others = new ArrayList<>();
        if (!kept || structure.equals(WeightStructure.dense())) {
            return new SparseChoice(preferred, others, "");
        }
        double density = structure.density(spec);
        Densities most = densities(spec);
        for (Layout.Sparse layout : structure.layouts(spec)) {
            double limit =
                    switch (layout) {
                        case BlockSparse16x1 _ -> most.blocks();
                        case BitmaskPanel16 _ -> most.bitmask();
                        case CompressedRows _ -> most.compressed();
                    };
            if (layout instanceof BitmaskPanel16 && !Selection.FAST_COMPRESS) {
                continue;
            }
            if (density > limit) {
                others.add(layout);
            } else if (layout instanceof CompressedRows
                    && preferred.stream().noneMatch(BlockSparse16x1.class::isInstance)) {
                preferred.addFirst(layout);
            } else {
                preferred.add(layout);
            }
        }
        String best = preferred.isEmpty() ? "dense" : preferred.getFirst().toString();
        String where = spec.maxBytes() <= CACHED_BYTES ? "from cache" : "from memory";
        return new SparseChoice(
                preferred,
                others,
                structure.describe(spec) + ", " + spec.dtype() + " " + where + ": fastest as " + best);
    }

    private static Densities densities(TensorSpec spec) {
        boolean full = spec.dtype() == DType.F32;
        if (spec.maxBytes() <= CACHED_BYTES) {
            return full ? F32_CACHED : BF16_CACHED;
        }
        if (Lanes.COUNT < BitmaskPanel16.ROWS) {
            return full ? F32_MEMORY_8_LANES : BF16_MEMORY_8_LANES;
        }
        return full ? F32_MEMORY : BF16_MEMORY;
    }

    /** All layouts that a kernel reads, best first. */
    List<Layout> order(List<Layout> dense) {
        List<Layout> all = new ArrayList<>(preferred);
        all.addAll(dense);
        all.addAll(others);
        return List.copyOf(all);
    }
}
