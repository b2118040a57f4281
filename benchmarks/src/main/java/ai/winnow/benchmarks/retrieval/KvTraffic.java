package ai.winnow.benchmarks.retrieval;

import ai.winnow.ir.Attention;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.Role;
import ai.winnow.runtime.NodeObserver;
import ai.winnow.runtime.Session;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Counts the bytes of cached keys and values that attention of a session reads, against those that dense attention over the same
 * rows reads. With several rows in a step a cached row counts once for each, as if they were decoded one by one. Give it to
 * {@link Session#observe}.
 */
final class KvTraffic implements NodeObserver {

    private double read;
    private double dense;

    /** Share of what dense attention reads; 1 before anything ran. */
    double fraction() {
        return dense == 0 ? 1 : read / dense;
    }

    /** Bytes of keys and values read so far. */
    double bytes() {
        return read;
    }

    @Override
    public void after(Node node, Operands operands) {
        if (node.site().role() != Role.ATTENTION) {
            return;
        }
        // An op that reads parts of the cache adds its case here; one that is not known must not count as nothing.
        switch (node.op()) {
            case Attention attention -> count(attention, operands);
            default -> throw new IllegalStateException("it is not known how much of the cache " + node.op() + " reads");
        }
    }

    private void count(Attention attention, Operands operands) {
        KvShape shape = attention.shape();
        MemorySegment sequences = operands.in(1);
        MemorySegment indptr = operands.in(2);
        MemorySegment slots = operands.in(3);
        MemorySegment lengths = operands.in(7);
        double rowBytes = 2 * (double) shape.dtype().bytes(shape.rowElements());
        int rows = operands.inRows(0);
        for (int row = 0; row < rows; row++) {
            int sequence = sequences.getAtIndex(ValueLayout.JAVA_INT, row);
            int first = indptr.getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = slots.getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int cached = lengths.getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, attention.layer(), head));
                int seen = cached + row - first + 1;
                dense += seen * rowBytes;
                read += (attention.window() > 0 ? Math.min(seen, attention.window()) : seen) * rowBytes;
            }
        }
    }
}
