package ai.winnow.runtime;

import ai.winnow.ir.AttendedKeys;
import ai.winnow.ir.Attention;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.Op;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.PackedFormat;
import ai.winnow.ir.Role;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.ScoredAttention;
import ai.winnow.ir.SparseAttention;
import ai.winnow.tensor.Operands;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Counts the bytes of cached keys and values, and of what is kept beside them, that attention of a session reads, against those that dense attention over the same
 * positions reads. With several rows in a step a cached row counts once for each, as if they were decoded one by one. Give it to
 * {@link Session#observe}.
 */
public final class KvTraffic implements NodeObserver {

    private final Session session;
    private double read;
    private double dense;
    private @Nullable Op unknown;

    /** @param session whose steps are observed: it knows how many positions a sequence has, of which a method may have dropped some */
    public KvTraffic(Session session) {
        this.session = session;
    }

    /**
     * Share of what attention to all keys reads, in layers with a window as well; 1 before anything ran.
     *
     * @throws IllegalStateException if an op attended that is not known here: what it read was not counted
     */
    public double fraction() {
        if (unknown != null) {
            throw new IllegalStateException("it is not known how much of the cache " + unknown + " reads");
        }
        return dense == 0 ? 1 : read / dense;
    }

    /** Bytes read so far, but for those of ops that are not known here. */
    public double bytes() {
        return read;
    }

    /** Bytes that attention to all keys would have read, in layers with a window as well. */
    public double denseBytes() {
        return dense;
    }

    @Override
    public void after(Node node, Operands operands) {
        switch (node.op()) {
            case ScoreKeys score -> count(score, operands);
            case AttendedKeys attended -> count(attended, operands);
            default -> {}
        }
        if (node.site().role() != Role.ATTENTION) {
            return;
        }
        // An op that reads parts of the cache adds its case here.
        switch (node.op()) {
            case Attention attention -> count(attention, operands, 1, null);
            case PackedAttention packed -> count(packed, operands);
            case ScoredAttention scored -> count(scored.attention(), operands, 1, null);
            case SparseAttention sparse -> count(sparse.attention(), operands, SparseAttention.CACHE, sparse.keys());
            default -> unknown = node.op();
        }
    }

    /**
     * @param cache which operand {@code sequence} is
     * @param lists which keys are read, if not all that are seen
     */
    private void count(Attention attention, Operands operands, int cache, @Nullable KeyLists lists) {
        KvShape shape = attention.shape();
        double rowBytes = 2 * (double) shape.dtype().bytes(shape.rowElements());
        KeyLists tiles = lists == null ? KeyLists.of(shape, shape.heads(), 1) : lists;
        MemorySegment indptr = operands.in(cache + 1);
        tiles.forEachTile(indptr, operands.inRows(0), (tile, sequence, from, to) -> {
            int first = indptr.getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(cache + 2).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int cached = operands.in(cache + 6)
                        .getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, attention.layer(), head));
                boolean[] named = lists == null ? null : named(lists, operands, tile, head);
                for (int row = from; row < to; row++) {
                    int end = cached + row - first + 1;
                    int begin = attention.window() > 0 ? Math.max(0, end - attention.window()) : 0;
                    dense += (session.positions(slot) + row - first + 1) * rowBytes;
                    read += rowBytes
                            * (named == null
                                    ? end - begin
                                    : IntStream.range(begin, end)
                                            .filter(key -> named[key])
                                            .count());
                }
            }
        });
    }

    /** A packed page is read whole, also where a window begins in it. */
    private void count(PackedAttention packed, Operands operands) {
        Attention attention = packed.attention();
        KvShape shape = attention.shape();
        PackedFormat format = packed.format();
        double rowBytes = 2 * (double) shape.dtype().bytes(shape.rowElements());
        MemorySegment indptr = operands.in(2);
        for (int row = 0; row < operands.inRows(0); row++) {
            int sequence = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, row);
            int first = indptr.getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int index = shape.headIndex(slot, attention.layer(), head);
                int end = operands.in(7).getAtIndex(ValueLayout.JAVA_INT, index) + row - first + 1;
                int begin = attention.window() > 0 ? Math.max(0, end - attention.window()) : 0;
                dense += end * rowBytes;
                for (int page = begin / KvShape.PAGE_ROWS; page * KvShape.PAGE_ROWS < end; page++) {
                    int number =
                            operands.in(6).getAtIndex(ValueLayout.JAVA_INT, (long) index * shape.pagesPerHead() + page);
                    int from = Math.max(begin, page * KvShape.PAGE_ROWS);
                    int to = Math.min(end, (page + 1) * KvShape.PAGE_ROWS);
                    read += number < 0
                            ? format.used(operands.in(PackedAttention.PACKED), PackedFormat.entry(number))
                            : (to - from) * rowBytes;
                }
            }
        }
    }

    /** What is kept beside the keys of each head counts once a tile: further lists of the head are taken to find it in a cache. */
    private void count(ScoreKeys score, Operands operands) {
        KvShape shape = score.keys().shape();
        double keyBytes = (double) score.plane().pageBytes() / KvShape.PAGE_ROWS;
        MemorySegment indptr = operands.in(2);
        score.keys().forEachTile(indptr, operands.inRows(1), (tile, sequence, from, to) -> {
            int first = indptr.getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int cached =
                        operands.in(6).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, score.layer(), head));
                int end = cached + to - first;
                read += end > score.denseUpTo() ? end * keyBytes : 0;
            }
        });
    }

    /** Each probing row reads the keys that it sees once more. */
    private void count(AttendedKeys attended, Operands operands) {
        Attention attention = attended.attention();
        KvShape shape = attention.shape();
        double keyBytes = shape.dtype().bytes(shape.rowElements());
        MemorySegment indptr = operands.in(2);
        attended.keys().forEachTile(indptr, operands.inRows(0), (tile, sequence, from, to) -> {
            int first = indptr.getAtIndex(ValueLayout.JAVA_INT, sequence);
            int slot = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
            for (int head = 0; head < shape.heads(); head++) {
                int cached =
                        operands.in(7).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, attention.layer(), head));
                boolean asked = cached + to - first > attended.denseUpTo();
                for (int row = Math.max(from, to - attended.probes()); asked && row < to; row++) {
                    int end = cached + row - first + 1;
                    read += keyBytes * (attention.window() > 0 ? Math.min(attention.window(), end) : end);
                }
            }
        });
    }

    /** The keys of a key-value head that any of its lists names: each is read from memory once. */
    private static boolean[] named(KeyLists lists, Operands operands, int tile, int head) {
        boolean[] all = new boolean[0];
        for (int list = 0; list < lists.lists(); list++) {
            if (lists.head(list) == head) {
                boolean[] more = lists.named(operands, 1, tile, list);
                all = all.length == 0 ? more : all;
                for (int key = 0; key < more.length; key++) {
                    all[key] |= more[key];
                }
            }
        }
        return all;
    }
}
