package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.BitmaskPanel16;
import ai.winnow.tensor.BlockSparse16x1;
import ai.winnow.tensor.CompressedRows;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.TensorSpec;

/**
 * How the weight {@code [outputs, inputs]} of a linear layer lies in memory when its zeros do not, and so which loop reads it. A
 * unit is what is never cut: a panel of 16 outputs, or a row.
 *
 * @param indexAt where masks or columns begin
 * @param valuesAt where values begin
 */
record StoredSparse(
        DType type,
        Layout.Sparse layout,
        int inputs,
        int outputs,
        long indexAt,
        long maskPitch,
        long valuesAt,
        long bytes) {

    /** Rows from which on the weight may be expanded to panels and multiplied with all rows at once, as if it were dense. */
    private static final int TOGETHER_ROWS = 4;

    /**
     * Rows times density from which on it is: skipping zeros row by row takes time in proportion, the product hardly at first. Bitmask
     * panels skip no work.
     */
    private static final double TOGETHER_BLOCKS = 2.5;

    private static final double TOGETHER_COMPRESSED = 0.6;

    /** Scratch of a part that takes one row at a time: 64 sums. */
    static final long SUMS_BYTES = 256;

    static StoredSparse of(TensorSpec spec, Layout.Sparse layout) {
        long indexAt =
                switch (layout) {
                    case BitmaskPanel16 _ -> BitmaskPanel16.masksAt(spec);
                    case BlockSparse16x1 _ -> BlockSparse16x1.columnsAt(spec);
                    case CompressedRows _ -> CompressedRows.columnsAt(spec);
                };
        long valuesAt =
                switch (layout) {
                    case BitmaskPanel16 _ -> BitmaskPanel16.valuesAt(spec);
                    case BlockSparse16x1 blocks -> blocks.valuesAt(spec);
                    case CompressedRows rows -> rows.valuesAt(spec);
                };
        return new StoredSparse(
                spec.dtype(),
                layout,
                Math.toIntExact(spec.shape().max(1)),
                Math.toIntExact(spec.shape().max(0)),
                indexAt,
                BitmaskPanel16.maskPitch(spec),
                valuesAt,
                layout.bytes(spec));
    }

    /** {@code Bf16…, bitmask panels of 16 rows} around {@code op}. */
    String name(String op) {
        return StoredWeight.prefix(type) + op + ", " + layout;
    }

    /** Outputs of a unit. */
    int unit() {
        return layout instanceof CompressedRows ? 1 : BitmaskPanel16.ROWS;
    }

    int units() {
        return (outputs + unit() - 1) / unit();
    }

    boolean multiplies(int rows) {
        double work = rows * density();
        return rows >= TOGETHER_ROWS
                && switch (layout) {
                    case BitmaskPanel16 _ -> true;
                    case BlockSparse16x1 _ -> work >= TOGETHER_BLOCKS;
                    case CompressedRows _ -> work >= TOGETHER_COMPRESSED;
                };
    }

    private double density() {
        double stored =
                switch (layout) {
                    case BitmaskPanel16(long nonZeros) -> nonZeros;
                    case BlockSparse16x1(long blocks) -> 16.0 * blocks;
                    case CompressedRows(long nonZeros) -> nonZeros;
                };
        return stored / ((double) inputs * outputs);
    }

    /**
     * The unit at which part {@code part} begins. A mask takes as long however many values it has, so bitmask panels are split evenly;
     * what else there is, by values.
     */
    int begin(long w, int part, int parts) {
        int units = units();
        if (part == 0 || part == parts || layout instanceof BitmaskPanel16) {
            return (int) ((long) units * part / parts);
        }
        long wanted = ALL.get(LONG, w + 8L * units) * part / parts;
        int low = 0;
        int high = units;
        while (low < high) { // the first unit that begins at or behind
            int middle = (low + high) >>> 1;
            if (ALL.get(LONG, w + 8L * middle) < wanted) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    /** Units {@code from} to {@code to} of one row; {@code sums} are {@link #SUMS_BYTES} of scratch. */
    void dense(long w, long x, long bias, long y, int from, int to, long sums) {
        boolean full = type == DType.F32;
        switch (layout) {
            case BitmaskPanel16 _ -> {
                if (full) {
                    F32BitmaskLinear.dense(
                            w, w + indexAt, maskPitch, w + valuesAt, inputs, outputs, x, bias, y, from, to, sums);
                } else {
                    Bf16BitmaskLinear.dense(
                            w, w + indexAt, maskPitch, w + valuesAt, inputs, outputs, x, bias, y, from, to, sums);
                }
            }
            case BlockSparse16x1 _ -> {
                if (full) {
                    F32BlockLinear.dense(w, w + indexAt, w + valuesAt, outputs, x, bias, y, from, to, sums);
                } else {
                    Bf16BlockLinear.dense(w, w + indexAt, w + valuesAt, outputs, x, bias, y, from, to, sums);
                }
            }
            case CompressedRows _ -> {
                if (full) {
                    F32CompressedLinear.dense(w, w + indexAt, w + valuesAt, x, bias, y, from, to);
                } else {
                    Bf16CompressedLinear.dense(w, w + indexAt, w + valuesAt, x, bias, y, from, to);
                }
            }
        }
    }
}
