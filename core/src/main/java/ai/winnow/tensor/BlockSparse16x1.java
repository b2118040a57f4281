package ai.winnow.tensor;

import ai.winnow.ShapeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * A matrix {@code [out, in]} in panels of 16 rows; a panel lists the inputs of which it has any weight, and all 16 weights of each.
 * For weights that were pruned in blocks of 16 outputs of one input, and for pruned inputs. At most 65,536 inputs.
 *
 * <p>Memory, little-endian, sections at multiples of 64 bytes:
 * <ol>
 *   <li>{@code int64 start[panels + 1]}: how many blocks lie before each panel's first; the last is how many there are
 *   <li>{@code uint16 column[blocks]}: the input of each block, ascending within a panel
 *   <li>{@code value[blocks][16]}: row 16 * panel + j at j; rows behind the last are 0
 * </ol>
 *
 * <p>Bytes: {@code (16 * b + 2) * blocks} and the starts. A pattern of one input by sixteen outputs, kept or dropped together,
 * as a block sparse column has it.
 *
 * @param blocks how many blocks there is room for
 */
public record BlockSparse16x1(long blocks) implements Layout.Sparse {

    /** Rows of a panel. */
    public static final int ROWS = SparseSource.ROWS;

    public BlockSparse16x1 {
        if (blocks < 0) {
            throw new ShapeException("a matrix cannot have " + blocks + " blocks");
        }
    }

    /** Whether a matrix has few enough inputs. */
    public static boolean fits(TensorSpec spec) {
        return spec.shape().max(1) <= SparseSource.MOST_COLUMNS;
    }

    /** Panels that a matrix has. */
    public static int panels(TensorSpec spec) {
        return SparseSource.panels(spec);
    }

    /** Where the start of panel {@code panel} lies. */
    public static long startAt(int panel) {
        return 8L * panel;
    }

    /** Where the columns begin. */
    public static long columnsAt(TensorSpec spec) {
        return Tensor.align(8L * (panels(spec) + 1));
    }

    /** Where the values begin. */
    public long valuesAt(TensorSpec spec) {
        return columnsAt(spec) + Tensor.align(2 * blocks);
    }

    @Override
    public long bytes(TensorSpec spec) {
        SparseSource.requireShortColumns(spec);
        return valuesAt(spec) + spec.dtype().bytes(ROWS * blocks);
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
                counts[panel] += firstRow(elements, panel, column) >= 0 ? 1 : 0;
            }
        });
        long[] starts = elements.starts(
                counts, blocks, "blocks of 16x1", (panel, index) -> locate(elements, panel, index, columns));
        for (int panel = 0; panel <= panels; panel++) {
            target.segment().set(ValueLayout.JAVA_LONG_UNALIGNED, startAt(panel), starts[panel]);
        }
        IntStream.range(0, panels).parallel().forEach(panel -> fill(elements, panel, columns, target, starts[panel]));
    }

    private void fill(SparseSource elements, int panel, int columns, Tensor target, long start) {
        TensorSpec spec = target.spec();
        MemorySegment values = target.segment().asSlice(valuesAt(spec));
        long next = start;
        for (int column = 0; column < columns; column++) {
            if (firstRow(elements, panel, column) < 0) {
                continue;
            }
            target.segment().set(ValueLayout.JAVA_SHORT_UNALIGNED, columnsAt(spec) + 2 * next, (short) column);
            for (int j = 0; j < ROWS; j++) {
                float value = elements.at(ROWS * panel + j, column);
                spec.dtype().setFloat(values, ROWS * next + j, value == 0 ? 0 : value); // no -0
            }
            next++;
        }
    }

    /** The first row of a panel that has a weight for an input, or -1. */
    private static int firstRow(SparseSource elements, int panel, int column) {
        int found = -1;
        for (int j = ROWS - 1; j >= 0; j--) { // all of them: each must be finite
            if (elements.at(ROWS * panel + j, column) != 0) {
                found = ROWS * panel + j;
            }
        }
        return found;
    }

    private static String locate(SparseSource elements, int panel, long index, int columns) {
        long left = index;
        for (int column = 0; column < columns; column++) {
            int row = firstRow(elements, panel, column);
            if (row >= 0 && left-- == 0) {
                return "row " + row + ", column " + column;
            }
        }
        throw new IllegalStateException("panel " + panel + " has no block " + index);
    }

    @Override
    public Tensor decompress(Tensor packed, Arena arena) {
        TensorSpec spec = packed.spec();
        Tensor result = Tensor.allocate(arena, spec, Layout.ROW_MAJOR);
        MemorySegment values = packed.segment().asSlice(valuesAt(spec));
        int columns = SparseSource.columns(spec);
        for (int panel = 0; panel < panels(spec); panel++) {
            long end = packed.segment().get(ValueLayout.JAVA_LONG_UNALIGNED, startAt(panel + 1));
            int rows = Math.min(ROWS, SparseSource.rows(spec) - ROWS * panel);
            for (long block = packed.segment().get(ValueLayout.JAVA_LONG_UNALIGNED, startAt(panel));
                    block < end;
                    block++) {
                int column =
                        packed.segment().get(ValueLayout.JAVA_SHORT_UNALIGNED, columnsAt(spec) + 2 * block) & 0xffff;
                for (int j = 0; j < rows; j++) {
                    long to = ((long) ROWS * panel + j) * columns + column;
                    spec.dtype().setFloat(result.segment(), to, spec.dtype().getFloat(values, ROWS * block + j));
                }
            }
        }
        return result;
    }

    @Override
    public String toString() {
        return "blocks of 16x1";
    }
}
