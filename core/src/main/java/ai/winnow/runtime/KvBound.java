package ai.winnow.runtime;

import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KeyRule;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.ScoreKeys;
import ai.winnow.ir.ScoredAttention;
import ai.winnow.ir.SelectKeys;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.Value;
import java.util.HashMap;
import java.util.Map;

/**
 * The most that a step of one token reads of a full context, all layers together: keys, values and what is kept beside them.
 *
 * @param dense bytes that dense attention reads, of layers with a window those in it
 * @param read the most bytes that the graph reads
 */
record KvBound(double dense, double read) {

    static KvBound of(Graph graph) {
        Map<Integer, SelectKeys> selections = new HashMap<>();
        double dense = 0;
        double read = 0;
        for (Node node : graph.nodes()) {
            switch (node.op()) {
                case SelectKeys select -> {
                    for (Value list : node.outputs()) {
                        selections.put(list.id(), select);
                    }
                }
                case ScoreKeys score -> {
                    KvShape shape = score.keys().shape();
                    read += (double) score.plane().pageBytes() * shape.heads() * shape.pagesPerHead();
                }
                case Attention attention -> {
                    dense += bytes(attention, seen(attention));
                    read += bytes(attention, seen(attention));
                }
                case PackedAttention packed -> {
                    dense += bytes(packed.attention(), seen(packed.attention()));
                    read += bytes(packed);
                }
                case ScoredAttention scored -> {
                    dense +=
                            bytes(scored.attention(), scored.attention().shape().contextLength());
                    read += bytes(scored.attention(), seen(scored.attention()));
                }
                case SparseAttention sparse -> {
                    dense += bytes(sparse.attention(), seen(sparse.attention()));
                    SelectKeys select = selections.get(node.input(1).id());
                    long keys = select == null ? Long.MAX_VALUE : keys(select, sparse.keys());
                    read += bytes(sparse.attention(), Math.min(seen(sparse.attention()), keys));
                }
                default -> {}
            }
        }
        return new KvBound(dense, read);
    }

    private static int seen(Attention attention) {
        int context = attention.shape().contextLength();
        return attention.window() > 0 ? Math.min(attention.window(), context) : context;
    }

    private static double bytes(Attention attention, long keys) {
        KvShape shape = attention.shape();
        return 2.0 * shape.dtype().bytes(shape.rowElements()) * shape.heads() * keys;
    }

    /** Of a full context, if all pages fit that are to be packed. */
    private static double bytes(PackedAttention packed) {
        Attention attention = packed.attention();
        KvShape shape = attention.shape();
        int first = shape.contextLength() - seen(attention);
        int rows = packed.packing().due(shape.contextLength());
        int pages = Math.max(0, rows - first + KvShape.PAGE_ROWS - 1) / KvShape.PAGE_ROWS;
        double tail = bytes(attention, shape.contextLength() - Math.max(rows, first));
        return tail + (double) packed.format().bytes() * shape.heads() * pages;
    }

    /** The most keys of a key-value head that its lists name. */
    private static long keys(SelectKeys select, KeyLists lists) {
        long chosen =
                switch (select.rule()) {
                    case KeyRule.TopK(int units) -> units;
                    case KeyRule.ByPlace() -> 0;
                    case KeyRule.Above _, KeyRule.Mass _ -> select.unitsPerHead();
                };
        long units = chosen + select.first() + select.recent();
        return units * select.unit() * (lists.lists() / lists.shape().heads());
    }
}
