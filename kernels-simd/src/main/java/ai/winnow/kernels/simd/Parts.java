package ai.winnow.kernels.simd;

import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.Tensor;

/** How the kernels cut their work: always at the same places for the same shape, and never where it would change a bit. */
final class Parts {

    /** The most parts of a call: what scratch memory is laid out for. */
    static final int MOST = Runtime.getRuntime().availableProcessors();

    /** Outputs are cut at multiples of this. */
    static final int GRAIN = 64;

    /** Elements of elementwise work below which a second thread costs more than it brings. */
    static final int ELEMENTS = 1 << 15;

    /** Bytes of a weight that a part reads at least: less is done before a second thread has begun. */
    private static final long WEIGHT_BYTES = 1 << 17;

    private Parts() {}

    /** Parts of a call that reads {@code bytes} of a weight with so many outputs, each with at least {@link #GRAIN} of them. */
    static int ofWeight(Workspace workspace, long bytes, int outputs) {
        return count(workspace, Math.min(bytes / WEIGHT_BYTES, outputs / GRAIN), 1);
    }

    /** As many parts as there are threads, but each of at least {@code least} units of {@code work}. */
    static int count(Workspace workspace, long work, long least) {
        return Math.clamp(work / least, 1, Math.min(workspace.workers().threads(), MOST));
    }

    /** Where part {@code part} of {@code count} items begins, at a multiple of {@code grain}; it ends where the next begins. */
    static int begin(int count, int grain, int part, int parts) {
        long units = (count + (long) grain - 1) / grain;
        return (int) Math.min(count, units * part / parts * grain);
    }

    /** The same for more items than an int counts, at multiples of {@link #GRAIN}. */
    static long begin(long count, int part, int parts) {
        long units = (count + GRAIN - 1) / GRAIN;
        return Math.min(count, units * part / parts * GRAIN);
    }

    /** Where the scratch of part {@code part} begins, if each has {@code bytes}. */
    static long scratch(long bytes, int part) {
        return Tensor.align(bytes) * part;
    }
}
