package ai.winnow.tensor;

import ai.winnow.ShapeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/**
 * A matrix {@code [out, in]} as compressed sparse rows (CSR): what is not zero, row by row, and the input that each belongs to. For
 * matrices that are almost empty. At most 65,536 inputs, so that an input takes 16 bits.
 *
 * <p>Memory, little-endian, sections at multiples of 64 bytes:
 * <ol>
 *   <li>{@code int64 start[out + 1]}: how many values lie before each row's first; the last is how many there are
 *   <li>{@code uint16 column[nonZeros]}: ascending within a row
 *   <li>{@code value[nonZeros]}
 * </ol>
 *
 * <p>Bytes: {@code (b + 2) * nonZeros} and the starts.
 *
 * @param nonZeros how many values there is room for
 */
public record CompressedRows(long nonZeros) implements Layout.Sparse {

    public CompressedRows {
        if (nonZeros < 0) {
            throw new ShapeException("a matrix cannot have " + nonZeros + " elements that are not zero");
        }
    }

    /** Whether a matrix has few enough inputs. */
    public static boolean fits(TensorSpec spec) {
        return spec.shape().max(1) <= SparseSource.MOST_COLUMNS;
    }

    /** Where the start of row {@code row} lies. */
    public static long startAt(int row) {
        return 8L * row;
    }

    /** Where the columns begin. */
    public static long columnsAt(TensorSpec spec) {
        return Tensor.align(8L * (spec.shape().max(0) + 1));
    }

    /** Where the values begin. */
    public long valuesAt(TensorSpec spec) {
        return columnsAt(spec) + Tensor.align(2 * nonZeros);
    }

    @Override
    public long bytes(TensorSpec spec) {
        SparseSource.requireShortColumns(spec);
        return valuesAt(spec) + spec.dtype().bytes(nonZeros);
    }

    @Override
    public Order order() {
        return Order.ROW_MAJOR;
    }

    @Override
    public void compress(String name, Tensor source, Tensor target) {
        SparseSource elements = SparseSource.of(name, source, target);
        TensorSpec spec = target.spec();
        int rows = SparseSource.rows(spec);
        int columns = SparseSource.columns(spec);
        long[] counts = new long[rows];
        IntStream.range(0, rows).parallel().forEach(row -> {
            for (int column = 0; column < columns; column++) {
                counts[row] += elements.at(row, column) != 0 ? 1 : 0;
            }
        });
        long[] starts =
                elements.starts(counts, nonZeros, "non-zeros", (row, index) -> locate(elements, row, index, columns));
        MemorySegment memory = target.segment();
        for (int row = 0; row <= rows; row++) {
            memory.set(ValueLayout.JAVA_LONG_UNALIGNED, startAt(row), starts[row]);
        }
        MemorySegment values = memory.asSlice(valuesAt(spec));
        IntStream.range(0, rows).parallel().forEach(row -> {
            long next = starts[row];
            for (int column = 0; column < columns; column++) {
                float value = elements.at(row, column);
                if (value != 0) {
                    memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, columnsAt(spec) + 2 * next, (short) column);
                    spec.dtype().setFloat(values, next++, value);
                }
            }
        });
    }

    private static String locate(SparseSource elements, int row, long index, int columns) {
        long left = index;
        for (int column = 0; column < columns; column++) {
            if (elements.at(row, column) != 0 && left-- == 0) {
                return "row " + row + ", column " + column;
            }
        }
        throw new IllegalStateException("row " + row + " has no element " + index);
    }

    @Override
    public Tensor decompress(Tensor packed, Arena arena) {
        TensorSpec spec = packed.spec();
        Tensor result = Tensor.allocate(arena, spec, Layout.ROW_MAJOR);
        MemorySegment memory = packed.segment();
        MemorySegment values = memory.asSlice(valuesAt(spec));
        int columns = SparseSource.columns(spec);
        for (int row = 0; row < SparseSource.rows(spec); row++) {
            long end = memory.get(ValueLayout.JAVA_LONG_UNALIGNED, startAt(row + 1));
            for (long at = memory.get(ValueLayout.JAVA_LONG_UNALIGNED, startAt(row)); at < end; at++) {
                int column = memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, columnsAt(spec) + 2 * at) & 0xffff;
                spec.dtype()
                        .setFloat(
                                result.segment(),
                                (long) row * columns + column,
                                spec.dtype().getFloat(values, at));
            }
        }
        return result;
    }

    @Override
    public String toString() {
        return "compressed rows";
    }
}
