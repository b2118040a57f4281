package ai.winnow.tensor;

import ai.winnow.ShapeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * A matrix {@code [out, in]} in panels of 16 rows; for every input a panel has a mask of 16 bits that says which rows are not zero,
 * and these values one behind the other. For any pattern of zeros.
 *
 * <p>Memory, little-endian, sections at multiples of 64 bytes:
 * <ol>
 *   <li>{@code int64 start[panels + 1]}: how many values lie before each panel's first; the last is how many there are
 *   <li>{@code uint16 mask[panels][in rounded up to 4]}: bit j of a mask is row 16 * panel + j; masks behind the last input are 0,
 *       as are bits of rows behind the last
 *   <li>the values of all set bits in order of panel, input, bit
 *   <li>64 bytes of zeros: a full vector may be read at any value
 * </ol>
 *
 * <p>Bytes: {@code b * nonZeros + out * in / 8} and the starts. Source: shared with oneDNN's and SparAMX's (arXiv 2502.12444)
 * compressed weights, but by columns of 16 outputs, so that no sum crosses lanes.
 *
 * @param nonZeros how many values there is room for
 */
public record BitmaskPanel16(long nonZeros) implements Layout.Sparse {

    /** Rows of a panel: bits of a mask. */
    public static final int ROWS = SparseSource.ROWS;

    public BitmaskPanel16 {
        if (nonZeros < 0) {
            throw new ShapeException("a matrix cannot have " + nonZeros + " elements that are not zero");
        }
    }

    /** Panels that a matrix has. */
    public static int panels(TensorSpec spec) {
        return SparseSource.panels(spec);
    }

    /** Where the start of panel {@code panel} lies. */
    public static long startAt(int panel) {
        return 8L * panel;
    }

    /** Where the masks begin. */
    public static long masksAt(TensorSpec spec) {
        return Tensor.align(8L * (panels(spec) + 1));
    }

    /** Bytes from one panel's masks to the next one's. */
    public static long maskPitch(TensorSpec spec) {
        return (SparseSource.columns(spec) + 3L) / 4 * 8;
    }

    /** Where the values begin. */
    public static long valuesAt(TensorSpec spec) {
        return masksAt(spec) + Tensor.align(panels(spec) * maskPitch(spec));
    }

    @Override
    public long bytes(TensorSpec spec) {
        return valuesAt(spec) + spec.dtype().bytes(nonZeros) + Tensor.ALIGNMENT;
    }

    @Override
    public Order order() {
        return Order.COLUMN_MAJOR;
    }

    @Override
    public void compress(String name, Tensor source, Tensor target) {
        SparseSource elements = SparseSource.of(name, source, target);
        TensorSpec spec = target.spec();
        int panels = panels(spec);
        int columns = SparseSource.columns(spec);
        long[] counts = new long[panels];
        IntStream.range(0, panels).parallel().forEach(panel -> {
            for (int column = 0; column < columns; column++) {
                counts[panel] += Integer.bitCount(mask(elements, panel, column));
            }
        });
        long[] starts = elements.starts(
                counts, nonZeros, "non-zeros", (panel, index) -> locate(elements, panel, index, columns));
        MemorySegment memory = target.segment();
        for (int panel = 0; panel <= panels; panel++) {
            memory.set(ValueLayout.JAVA_LONG_UNALIGNED, startAt(panel), starts[panel]);
        }
        IntStream.range(0, panels).parallel().forEach(panel -> fill(elements, panel, columns, target, starts[panel]));
    }

    private static void fill(SparseSource elements, int panel, int columns, Tensor target, long start) {
        TensorSpec spec = target.spec();
        MemorySegment values = target.segment().asSlice(valuesAt(spec));
        long masks = masksAt(spec) + panel * maskPitch(spec);
        long next = start;
        for (int column = 0; column < columns; column++) {
            int mask = 0;
            for (int j = 0; j < ROWS; j++) {
                float value = elements.at(ROWS * panel + j, column);
                if (value != 0) {
                    mask |= 1 << j;
                    spec.dtype().setFloat(values, next++, value);
                }
            }
            target.segment().set(ValueLayout.JAVA_SHORT_UNALIGNED, masks + 2L * column, (short) mask);
        }
    }

    private static int mask(SparseSource elements, int panel, int column) {
        int mask = 0;
        for (int j = 0; j < ROWS; j++) {
            mask |= elements.at(ROWS * panel + j, column) != 0 ? 1 << j : 0;
        }
        return mask;
    }

    private static String locate(SparseSource elements, int panel, long index, int columns) {
        long left = index;
        for (int column = 0; column < columns; column++) {
            for (int j = 0; j < ROWS; j++) {
                if (elements.at(ROWS * panel + j, column) != 0 && left-- == 0) {
                    return "row " + (ROWS * panel + j) + ", column " + column;
                }
            }
        }
        throw new IllegalStateException("panel " + panel + " has no element " + index);
    }

    @Override
    public Tensor decompress(Tensor packed, Arena arena) {
        TensorSpec spec = packed.spec();
        Tensor result = Tensor.allocate(arena, spec, Layout.ROW_MAJOR);
        MemorySegment values = packed.segment().asSlice(valuesAt(spec));
        int columns = SparseSource.columns(spec);
        for (int panel = 0; panel < panels(spec); panel++) {
            long next = packed.segment().get(ValueLayout.JAVA_LONG_UNALIGNED, startAt(panel));
            long masks = masksAt(spec) + panel * maskPitch(spec);
            for (int column = 0; column < columns; column++) {
                int mask = packed.segment().get(ValueLayout.JAVA_SHORT_UNALIGNED, masks + 2L * column) & 0xffff;
                for (int left = mask; left != 0; left &= left - 1) {
                    long row = (long) ROWS * panel + Integer.numberOfTrailingZeros(left);
                    spec.dtype()
                            .setFloat(
                                    result.segment(),
                                    row * columns + column,
                                    spec.dtype().getFloat(values, next++));
                }
            }
        }
        return result;
    }

    @Override
    public String toString() {
        return "bitmask panels of 16 rows";
    }
}
