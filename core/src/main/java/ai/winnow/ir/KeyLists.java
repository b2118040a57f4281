package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Which cached keys the rows of a step see: the one index object that every way of sparse attention lowers to (block lists, token lists,
 * windows with sinks). The rows of a sequence are cut into tiles of {@link #tileRows}, from its first row of the step on; the tiles of all
 * sequences are numbered in their order. Each tile has {@link #lists} lists, each for as many query heads.
 *
 * <p>A list names pages of the head, each once and ascending, and for each a mask: bit {@code r} for row {@code r} of the page. Three
 * tensors hold them:
 *
 * <ul>
 *   <li>{@code counts I32 [tiles * lists]}: how many pages list {@code l} of tile {@code t} has, at {@code t * lists + l}
 *   <li>{@code pages I32 [tiles * lists, pagesPerList]}: which; what lies behind those counted means nothing
 *   <li>{@code masks I64 [tiles * lists, pagesPerList]}: -1 for a whole page
 * </ul>
 *
 * <p>A list lifts no other rule: rows still see no later rows, and no further than their window.
 *
 * @param lists of a tile: as many as key-value heads, or as query heads
 * @param tileRows rows that share their lists; 1 in decoding
 * @param pagesPerList the most pages of a list
 */
public record KeyLists(KvShape shape, int lists, int tileRows, int pagesPerList) {

    /** Bits of a whole page. */
    public static final long WHOLE = -1;

    /** Tensors of an index. */
    public static final int TENSORS = 3;

    public KeyLists {
        Inference.require(
                lists >= 1 && tileRows >= 1 && pagesPerList >= 1 && pagesPerList <= shape.pagesPerHead(),
                () -> "no lists of keys: " + lists + " lists a tile of " + tileRows + " rows, " + pagesPerList + " of "
                        + shape.pagesPerHead() + " pages");
        Inference.require(
                lists % shape.heads() == 0,
                () -> lists + " lists cannot be shared evenly by " + shape.heads() + " key-value heads");
    }

    /** Lists that may name any page. */
    public static KeyLists of(KvShape shape, int lists, int tileRows) {
        return new KeyLists(shape, lists, tileRows, shape.pagesPerHead());
    }

    /** The most tiles of a step of {@code rows} rows of {@code sequences} sequences. */
    public long mostTiles(long rows, long sequences) {
        return tileRows == 1 ? rows : rows / tileRows + Math.min(rows, sequences);
    }

    /** What the three tensors are for a step with rows as {@code sequence} and starts as {@code indptr} of {@link StandardInputs}. */
    public List<TensorSpec> specs(TensorSpec sequence, TensorSpec indptr) {
        long all = lists
                * mostTiles(
                        sequence.shape().rowDim().max(), indptr.shape().rowDim().max() - 1);
        return List.of(
                TensorSpec.of(DType.I32, all),
                TensorSpec.of(DType.I32, all, pagesPerList),
                TensorSpec.of(DType.I64, all, pagesPerList));
    }

    /** The row axis of a tensor that has a row for each tile. */
    public Dim tileDim(TensorSpec sequence, TensorSpec indptr) {
        Dim rows = sequence.shape().rowDim();
        return tileRows == 1
                ? rows
                : Dim.of(mostTiles(rows.max(), indptr.shape().rowDim().max() - 1));
    }

    /** Requires the inputs from {@code from} on to be an index of this shape. */
    public void require(Op op, List<TensorSpec> inputs, int from, TensorSpec sequence, TensorSpec indptr) {
        List<TensorSpec> wanted = specs(sequence, indptr);
        for (int i = 0; i < TENSORS; i++) {
            TensorSpec expected = wanted.get(i);
            TensorSpec found = inputs.get(from + i);
            Inference.require(
                    found.equals(expected),
                    () -> op.name() + ": the lists of keys must be " + wanted + ", of them " + expected + " is "
                            + found);
        }
    }

    /** Which key-value head list {@code list} is of. */
    public int head(int list) {
        return list / (lists / shape.heads());
    }

    /** Calls {@code visitor} for each tile of a step. */
    public void forEachTile(MemorySegment indptr, int rows, TileVisitor visitor) {
        int tile = 0;
        int sequence = 0;
        for (int row = 0; row < rows; ) {
            int end = indptr.getAtIndex(ValueLayout.JAVA_INT, sequence + 1L);
            for (; row < end; row += tileRows) {
                visitor.visit(tile++, sequence, row, Math.min(row + tileRows, end));
            }
            row = end;
            sequence++;
        }
    }

    /** A tile of a step. */
    @FunctionalInterface
    public interface TileVisitor {
        /** The tile has the rows {@code from} to {@code to} of the step, all of sequence {@code sequence} of it. */
        void visit(int tile, int sequence, int from, int to);
    }

    /**
     * Which keys a list names.
     *
     * @param from which operand {@code counts} is
     * @return for each row of the head's cache whether it is named
     */
    public boolean[] named(Operands operands, int from, int tile, int list) {
        boolean[] named = new boolean[shape.pagesPerHead() * KvShape.PAGE_ROWS];
        int at = tile * lists + list;
        int count = operands.in(from).getAtIndex(ValueLayout.JAVA_INT, at);
        for (int i = 0; i < count; i++) {
            long entry = (long) at * pagesPerList + i;
            int page = operands.in(from + 1).getAtIndex(ValueLayout.JAVA_INT, entry);
            long mask = operands.in(from + 2).getAtIndex(ValueLayout.JAVA_LONG, entry);
            for (int row = 0; row < KvShape.PAGE_ROWS; row++) {
                named[page * KvShape.PAGE_ROWS + row] = (mask >>> row & 1) != 0;
            }
        }
        return named;
    }

    /**
     * Writes a list.
     *
     * @param from which output {@code counts} is
     * @param named for each row of the head's cache whether it is named; rows behind it are not
     */
    public void write(Operands operands, int from, int tile, int list, boolean[] named) {
        int at = tile * lists + list;
        int count = 0;
        for (int page = 0; page * KvShape.PAGE_ROWS < named.length; page++) {
            long mask = 0;
            int first = page * KvShape.PAGE_ROWS;
            for (int key = first; key < Math.min(named.length, first + KvShape.PAGE_ROWS); key++) {
                mask |= named[key] ? 1L << key : 0;
            }
            if (mask != 0) {
                long entry = (long) at * pagesPerList + count++;
                operands.out(from + 1).setAtIndex(ValueLayout.JAVA_INT, entry, page);
                operands.out(from + 2).setAtIndex(ValueLayout.JAVA_LONG, entry, mask);
            }
        }
        operands.out(from).setAtIndex(ValueLayout.JAVA_INT, at, count);
    }
}
