package ai.winnow.kv;

import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * The positions of rows, where a head has dropped some: an array of those it kept when it last did, and from which position on it has all. A
 * head that drops nothing has neither.
 */
final class KeptRows {

    private static final int[] NONE = {};

    private final int[][] kept;
    private final int[] upTo;
    private final Tensor settled;

    KeptRows(KvShape shape, Arena arena) {
        this.kept = new int[Math.multiplyExact(shape.slots(), shape.layers() * shape.heads())][];
        this.upTo = new int[kept.length];
        this.settled = Tensor.allocate(arena, DType.I32, shape.slots(), shape.layers(), shape.heads());
        Arrays.fill(kept, NONE);
    }

    /** I32 {@code [slots, layers, heads]}: rows of each head, from the first on, that were chosen when it last dropped some. */
    Tensor settled() {
        return settled;
    }

    /** The head has rows at {@code positions}, of which the first {@code decided} were chosen, and all from {@code end} on. */
    void set(int head, int[] positions, int end, int decided) {
        kept[head] = positions;
        upTo[head] = end;
        settled.segment().setAtIndex(ValueLayout.JAVA_INT, head, decided);
    }

    void copy(int from, int to) {
        set(to, kept[from], upTo[from], decided(from));
    }

    /** The head has no rows of positions from {@code length} on any more. */
    void truncate(int head, int length) {
        if (length < upTo[head]) {
            int rows = rowsBefore(head, length);
            set(head, length == 0 ? NONE : Arrays.copyOf(kept[head], rows), length, Math.min(decided(head), rows));
        }
    }

    private int decided(int head) {
        return settled.segment().getAtIndex(ValueLayout.JAVA_INT, head);
    }

    /** How many rows of a head are of positions before {@code position}. */
    int rowsBefore(int head, int position) {
        if (position >= upTo[head]) {
            return kept[head].length + position - upTo[head];
        }
        int found = Arrays.binarySearch(kept[head], position);
        return found >= 0 ? found : -found - 1;
    }

    /** The position of row {@code row}. */
    int position(int head, int row) {
        int first = kept[head].length;
        return row < first ? kept[head][row] : upTo[head] + row - first;
    }
}
