package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/**
 * How the weight {@code [outputs, inputs]} of a linear layer lies in memory, and so which loop reads it.
 *
 * @param scalesAt where the scales of I8 rows or I4 groups begin
 * @param group I4 elements that share a scale; else 0
 */
record StoredWeight(DType type, Layout.Order order, int inputs, int outputs, long scalesAt, int group) {

    /**
     * Rows of column-major weights that are shorter than this are not split among threads: a thread that reads less than 4 KB at a
     * stretch gets 30 instead of 48 GB/s (bf16, 8192 -> 2048, two threads). Their inputs are split instead.
     */
    private static final long NARROW_BYTES = 8192;

    private static final int CHAINS = 4;

    static StoredWeight of(TensorSpec spec, Layout layout) {
        int inputs = Math.toIntExact(spec.shape().max(1));
        int outputs = Math.toIntExact(spec.shape().max(0));
        return switch (layout) {
            case Layout.Dense dense -> new StoredWeight(spec.dtype(), dense.order(), inputs, outputs, 0, 0);
            case Layout.ScaledRows rows ->
                new StoredWeight(spec.dtype(), rows.order(), inputs, outputs, Layout.ScaledRows.scalesOffset(spec), 0);
            case Layout.ScaledGroups groups ->
                new StoredWeight(
                        spec.dtype(), groups.order(), inputs, outputs, groups.scalesOffset(spec), groups.group());
            case Layout.Sparse sparse -> throw new IllegalArgumentException(sparse + " is read by StoredSparse");
        };
    }

    /** {@code Bf16…, column-major} around {@code op}. */
    String name(String op) {
        return prefix(type)
                + op
                + (isColumnMajor() ? ", column-major" : ", row-major")
                + (group == 0 ? "" : ", groups of " + group);
    }

    /** How the names of kernels begin that read weights of {@code type}. */
    static String prefix(DType type) {
        return switch (type) {
            case I8 -> "Int8";
            case I4 -> "Int4";
            default -> type.name().charAt(0) + type.name().substring(1).toLowerCase(Locale.ROOT);
        };
    }

    boolean isColumnMajor() {
        return order == Layout.Order.COLUMN_MAJOR;
    }

    /** Bytes of one input's weights, or, row-major, of one output's. */
    long rowBytes() {
        int elements = isColumnMajor() ? outputs : inputs;
        return group == 0 ? type.bytes(elements) : Math.ceilDiv(elements, group) * (group / 2L);
    }

    /** Bytes of the scales of one input's weights, or, row-major, of one output's; 0 if rows have no scales of their own. */
    private long scaleBytes() {
        return group == 0 ? 0 : 4L * Math.ceilDiv(isColumnMajor() ? outputs : inputs, group);
    }

    /** Bytes of the whole weight. */
    long bytes() {
        return bytesOf(isColumnMajor() ? inputs : outputs);
    }

    /** Bytes of so many inputs' weights, or, row-major, outputs'. */
    long bytesOf(int rows) {
        return rows * (rowBytes() + scaleBytes());
    }

    /** Bytes that {@link #prepare} writes. */
    long preparedBytes() {
        if (isColumnMajor()) {
            return 0;
        }
        return switch (type) {
            case BF16 -> Tensor.align(Bf16RowLinear.preparedBytes(inputs));
            case F16 -> Tensor.align(F16RowLinear.preparedBytes(inputs));
            case I4 -> Tensor.align(Int4RowLinear.preparedBytes(inputs));
            default -> 0;
        };
    }

    /** Outputs are cut at multiples of this: no group of column-major I4 is cut. */
    int grain() {
        return Math.max(Parts.GRAIN, isColumnMajor() ? group : 0);
    }

    /** Bytes of scratch for each part of a call with up to {@code rows} rows. */
    long partBytes(int rows) {
        boolean together = isColumnMajor() ? rows > 1 : multiplies(rows);
        return Math.max(isColumnMajor() ? 0 : F32RowLinear.SCRATCH_BYTES, together ? Gemm.SCRATCH_BYTES : 0);
    }

    /**
     * Whether {@code rows} rows are multiplied together by {@link #product}, so that the weight is read and widened once for all, or
     * one by one. A row-major weight must be turned as well, which pays later.
     */
    boolean multiplies(int rows) {
        return isColumnMajor() ? togetherCost(rows) <= rows : rows >= turnedRows();
    }

    /** Rows from which on a row-major weight is turned and multiplied rather than read once a row. */
    private int turnedRows() {
        return type == DType.I4 ? 12 : 8;
    }

    /**
     * What so many rows of a column-major weight cost together, in rows by themselves, which are bound by memory: {@link #togetherBase} for reading and packing the
     * weight to panels, {@link #togetherSlope} for each row.
     */
    double togetherCost(int rows) {
        return togetherBase() + togetherSlope() * rows;
    }

    /** 2048 -> 8192, two threads of a Zen 4, 2 to 32 rows (docs/decisions/0012). */
    double togetherBase() {
        return switch (type) {
            case F32, BF16 -> 1.3;
            case F16 -> 1.6;
            case I4 -> 2.6;
            default -> 2.3;
        };
    }

    /** Multiplying takes as long for every type; a row by itself is the faster read the narrower it is. */
    double togetherSlope() {
        return switch (type) {
            case F32 -> 0.08;
            case BF16, F16 -> 0.19;
            case I4 -> 0.22;
            default -> 0.32;
        };
    }

    /** Outputs {@code lo} to {@code hi} of all rows; {@code x} is not prepared. */
    void product(long w, long x, int rows, long bias, long y, int lo, int hi, long scratch) {
        product(w, 0, inputs, x, rows, bias, y, lo, hi, scratch);
    }

    /**
     * The same from some inputs only. Column-major.
     *
     * @param list the inputs, in ascending order
     * @param x {@code [rows, listed]}: the numbers that belong to them
     */
    void product(long w, long list, int listed, long x, int rows, long bias, long y, int lo, int hi, long scratch) {
        long scales = type == DType.I8 ? w + scalesAt : 0;
        if (type == DType.I4) {
            Int4Gemm.run(
                    order,
                    group,
                    list,
                    x,
                    rows,
                    listed,
                    w,
                    rowBytes(),
                    w + scalesAt,
                    scaleBytes(),
                    outputs,
                    bias,
                    y,
                    lo,
                    hi,
                    scratch);
        } else {
            Gemm.run(type, order, x, rows, listed, w, outputs, list, scales, bias, y, lo, hi, scratch);
        }
    }

    /** Once a row: the input in the order in which this weight meets it, if that is not its own. */
    void prepare(long x, long prepared) {
        if (!isColumnMajor()) {
            switch (type) {
                case BF16 -> Bf16RowLinear.prepare(x, inputs, prepared);
                case F16 -> F16RowLinear.prepare(x, inputs, prepared);
                case I4 -> Int4RowLinear.prepare(x, inputs, prepared);
                default -> {}
            }
        }
    }

    /**
     * How many sums make one output when a single row is multiplied: 1, or, for a narrow weight, one for each of some ranges of
     * inputs, added in their order at the end. A function of the shape alone, so that neither the number of threads nor a
     * selection of inputs changes a bit.
     */
    int chains() {
        return isColumnMajor() && rowBytes() < NARROW_BYTES && inputs >= CHAINS * Parts.GRAIN ? CHAINS : 1;
    }

    /** Whether each of {@code rows} rows is summed in several chains. Sparse kernels follow, so as to give the same bits. */
    boolean chained(int rows) {
        return chains() > 1 && !multiplies(rows);
    }

    /** The first input of a chain; it ends where the next begins. */
    int chainBegin(int chain) {
        return Parts.begin(inputs, Parts.GRAIN, chain, chains());
    }

    /** Bytes of scratch for the sums of all chains. */
    long chainBytes() {
        return chains() == 1 ? 0 : chains() * chainPitch();
    }

    /** How far apart the sums of the chains lie. */
    long chainPitch() {
        return Tensor.align(4L * outputs);
    }

    /** One chain of one row: all its inputs. The bias goes into the first. */
    void denseChain(long w, long row, long bias, int chain, long sums) {
        int from = chainBegin(chain);
        int count = chainBegin(chain + 1) - from;
        long rowBytes = rowBytes();
        long first = w + from * rowBytes;
        long x = row + 4L * from;
        long at = sums + chain * chainPitch();
        long start = chain == 0 ? bias : 0;
        switch (type) {
            case F32 -> F32ColumnLinear.dense(first, rowBytes, count, x, start, at, 0, outputs);
            case BF16 -> Bf16ColumnLinear.dense(first, rowBytes, count, x, start, at, 0, outputs);
            case F16 -> F16ColumnLinear.dense(first, rowBytes, count, x, start, at, 0, outputs);
            case I4 ->
                Int4ColumnLinear.dense(
                        first,
                        rowBytes,
                        count,
                        w + scalesAt + from * scaleBytes(),
                        scaleBytes(),
                        group,
                        x,
                        start,
                        at,
                        0,
                        outputs);
            default -> Int8ColumnLinear.dense(first, rowBytes, count, w + scalesAt, x, start, at, 0, outputs);
        }
    }

    /** One chain of one row: those of its inputs that are in the ascending {@code list}. */
    void listedChain(long w, long list, int listed, long x, long bias, int chain, long sums) {
        int from = Selection.below(list, listed, chainBegin(chain));
        int to = Selection.below(list, listed, chainBegin(chain + 1));
        long at = sums + chain * chainPitch();
        long start = chain == 0 ? bias : 0;
        listed(w, list + 4L * from, to - from, x, start, at, 0, outputs);
    }

    /** Adds the sums of all chains in order. */
    void addChains(long sums, long y) {
        Elementwise.add(sums, sums + chainPitch(), y, outputs);
        for (int chain = 2; chain < chains(); chain++) {
            Elementwise.add(y, sums + chain * chainPitch(), y, outputs);
        }
    }

    /** Outputs {@code lo} to {@code hi} of one row; {@code x} is prepared. */
    void dense(long w, long x, long bias, long y, int lo, int hi, long scratch) {
        long rowBytes = rowBytes();
        if (isColumnMajor()) {
            switch (type) {
                case F32 -> F32ColumnLinear.dense(w, rowBytes, inputs, x, bias, y, lo, hi);
                case BF16 -> Bf16ColumnLinear.dense(w, rowBytes, inputs, x, bias, y, lo, hi);
                case F16 -> F16ColumnLinear.dense(w, rowBytes, inputs, x, bias, y, lo, hi);
                case I4 ->
                    Int4ColumnLinear.dense(w, rowBytes, inputs, w + scalesAt, scaleBytes(), group, x, bias, y, lo, hi);
                default -> Int8ColumnLinear.dense(w, rowBytes, inputs, w + scalesAt, x, bias, y, lo, hi);
            }
        } else {
            switch (type) {
                case F32 -> F32RowLinear.dense(w, rowBytes, inputs, x, bias, y, lo, hi, scratch);
                case BF16 -> Bf16RowLinear.dense(w, rowBytes, inputs, x, bias, y, lo, hi, scratch);
                case F16 -> F16RowLinear.dense(w, rowBytes, inputs, x, bias, y, lo, hi, scratch);
                case I4 ->
                    Int4RowLinear.dense(
                            w, rowBytes, inputs, w + scalesAt, scaleBytes(), group, x, bias, y, lo, hi, scratch);
                default -> Int8RowLinear.dense(w, rowBytes, inputs, w + scalesAt, x, bias, y, lo, hi, scratch);
            }
        }
    }

    /** Outputs {@code lo} to {@code hi} of one row, of the {@code listed} inputs in {@code list} only. Column-major. */
    void listed(long w, long list, int listed, long x, long bias, long y, int lo, int hi) {
        long rowBytes = rowBytes();
        switch (type) {
            case F32 -> F32ColumnLinear.listed(w, rowBytes, list, listed, x, bias, y, lo, hi);
            case BF16 -> Bf16ColumnLinear.listed(w, rowBytes, list, listed, x, bias, y, lo, hi);
            case F16 -> F16ColumnLinear.listed(w, rowBytes, list, listed, x, bias, y, lo, hi);
            case I4 ->
                Int4ColumnLinear.listed(
                        w, rowBytes, list, listed, w + scalesAt, scaleBytes(), group, x, bias, y, lo, hi);
            default -> Int8ColumnLinear.listed(w, rowBytes, list, listed, w + scalesAt, x, bias, y, lo, hi);
        }
    }

    /** Those outputs from {@code lo} to {@code hi} of one row that are in {@code list}; the others are zero. Row-major. */
    void masked(long w, long list, int listed, long x, long bias, long y, int lo, int hi, long scratch) {
        long rowBytes = rowBytes();
        switch (type) {
            case F32 -> F32RowLinear.masked(w, rowBytes, inputs, list, listed, x, bias, y, lo, hi, scratch);
            case BF16 -> Bf16RowLinear.masked(w, rowBytes, inputs, list, listed, x, bias, y, lo, hi, scratch);
            case F16 -> F16RowLinear.masked(w, rowBytes, inputs, list, listed, x, bias, y, lo, hi, scratch);
            case I4 ->
                Int4RowLinear.masked(
                        w,
                        rowBytes,
                        inputs,
                        w + scalesAt,
                        scaleBytes(),
                        group,
                        list,
                        listed,
                        x,
                        bias,
                        y,
                        lo,
                        hi,
                        scratch);
            default ->
                Int8RowLinear.masked(w, rowBytes, inputs, w + scalesAt, list, listed, x, bias, y, lo, hi, scratch);
        }
    }

    /** One row as f32. Row-major. */
    void widenRow(long w, int row, long y) {
        long from = row * rowBytes();
        switch (type) {
            case F32 -> MemorySegment.copy(ALL, w + from, ALL, y, 4L * inputs);
            case BF16 -> Conversions.bf16ToFloat(w + from, y, inputs);
            case F16 -> Conversions.f16ToFloat(w + from, y, inputs);
            case I4 -> Int4.widenRow(w + from, w + scalesAt + row * scaleBytes(), group, 0, inputs, y);
            default -> Conversions.int8ToFloat(w + from, ALL.get(Lanes.FLOAT, w + scalesAt + 4L * row), y, inputs);
        }
    }
}
