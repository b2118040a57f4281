package ai.winnow.ir;

/**
 * How a cache prunes and packs what it holds of older tokens (Mustafar, Joo et al. 2025, "Kt_Mag, Vt_Mag"): of each key and each value the
 * numbers of smallest magnitude become zero, and only the others are kept. The newest tokens stay as they are. A graph declares it in its {@link PackedAttention}.
 *
 * @param keySparsity share of each key that is pruned, in [0, 1)
 * @param valueSparsity share of each value
 * @param residual newest rows of a head that are never packed
 * @param unit rows that are packed at once, a multiple of {@value KvShape#PAGE_ROWS}
 */
public record KvPacking(float keySparsity, float valueSparsity, int residual, int unit) {

    /** Rows that are packed at once, as published. */
    public static final int UNIT = 256;

    public KvPacking {
        requireSparsity(keySparsity);
        requireSparsity(valueSparsity);
        int rows = residual;
        int each = unit;
        Inference.require(rows >= 0, () -> "a cache cannot leave the newest " + rows + " rows unpacked");
        Inference.require(
                each > 0 && each % KvShape.PAGE_ROWS == 0,
                () -> "rows are packed by multiples of " + KvShape.PAGE_ROWS + ", not by " + each);
    }

    private static void requireSparsity(float sparsity) {
        Inference.require(sparsity >= 0 && sparsity < 1, () -> "a share of " + sparsity + " cannot be pruned");
    }

    /** Whether nothing is pruned. */
    public boolean keepsAll() {
        return keySparsity == 0 && valueSparsity == 0;
    }

    /** The rank, from 1, of the magnitude from which on a row of {@code width} numbers keeps them: that one is kept. */
    public static int threshold(float sparsity, int width) {
        return Math.max(1, (int) (sparsity * width));
    }

    /** How many of {@code width} numbers whose magnitudes are distinct are kept. */
    public static int kept(float sparsity, int width) {
        return width - threshold(sparsity, width) + 1;
    }

    /** How many of {@code rows} rows, from the first on, are to be packed. */
    public int due(int rows) {
        return Math.max(0, (rows - residual) / unit * unit);
    }
}
