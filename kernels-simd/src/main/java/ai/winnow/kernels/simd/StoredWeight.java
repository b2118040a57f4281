package ai.winnow.kernels.simd;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * How the weight {@code [outputs, inputs]} of a linear layer lies in memory, and so which loop reads it.
 *
 * @param scalesAt where the scales of I8 rows or I4 groups begin
 * @param group I4 elements that share a scale; else 0
 */
record StoredWeight(DType type, Layout.Order order, int inputs, int outputs, long scalesAt, int group) {

    /** Rows from which on a row-major weight is turned and multiplied rather than read once a row. */
    private static final int TURNED_ROWS = 8;

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
        return isColumnMajor() ? togetherCost(rows) <= rows : rows >= TURNED_ROWS;
    }

    /**
     * What so many rows of a column-major weight cost together, in rows by themselves, which are bound by memory: packing the weight to panels, then a little
     * for each row (2048 -> 8192, two threads; docs/decisions/0012).
     */
    double togetherCost(int rows) {
        double packing =
                switch (type) {
                    case F32 -> 2.6;
                    case F16 -> 3.6;
                    default -> 4.5;
                };
        return packing + 0.08 * rows;
    }

    /** Outputs {@code lo} to {@code hi} of all rows; {@code x} is not prepared. */
    void product(
            MemorySegment w,
            MemorySegment x,
            int rows,
            @Nullable MemorySegment bias,
            MemorySegment y,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        product(w, null, 0, inputs, x, 0, rows, bias, y, lo, hi, scratch, scratchAt);
    }

    /**
     * The same from some inputs only. Column-major.
     *
     * @param list the inputs, in ascending order
     * @param x {@code [rows, listed]}: the numbers that belong to them
     */
    void product(
            MemorySegment w,
            @Nullable MemorySegment list,
            long listAt,
            int listed,
            MemorySegment x,
            long xAt,
            int rows,
            @Nullable MemorySegment bias,
            MemorySegment y,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        MemorySegment scales = type == DType.I8 ? w : null;
        if (type == DType.I4) {
            Int4Gemm.run(
                    order,
                    group,
                    list,
                    listAt,
                    x,
                    xAt,
                    rows,
                    listed,
                    w,
                    rowBytes(),
                    scalesAt,
                    scaleBytes(),
                    outputs,
                    bias,
                    y,
                    lo,
                    hi,
                    scratch,
                    scratchAt);
        } else {
            Gemm.run(
                    type, order, x, xAt, rows, listed, w, 0, outputs, list, listAt, scales, scalesAt, bias, 0, y, 0, lo,
                    hi, scratch, scratchAt);
        }
    }

    /** Once a row: the input in the order in which this weight meets it, if that is not its own. */
    void prepare(MemorySegment x, long xAt, MemorySegment prepared, long preparedAt) {
        if (!isColumnMajor()) {
            switch (type) {
                case BF16 -> Bf16RowLinear.prepare(x, xAt, inputs, prepared, preparedAt);
                case F16 -> F16RowLinear.prepare(x, xAt, inputs, prepared, preparedAt);
                case I4 -> Int4RowLinear.prepare(x, xAt, inputs, prepared, preparedAt);
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
    void denseChain(
            MemorySegment w,
            MemorySegment x,
            long rowAt,
            @Nullable MemorySegment bias,
            int chain,
            MemorySegment sums,
            long sumsAt) {
        int from = chainBegin(chain);
        int count = chainBegin(chain + 1) - from;
        long rowBytes = rowBytes();
        long wAt = from * rowBytes;
        long xAt = rowAt + 4L * from;
        long at = sumsAt + chain * chainPitch();
        MemorySegment start = chain == 0 ? bias : null;
        switch (type) {
            case F32 -> F32ColumnLinear.dense(w, wAt, rowBytes, count, x, xAt, start, 0, sums, at, 0, outputs);
            case BF16 -> Bf16ColumnLinear.dense(w, wAt, rowBytes, count, x, xAt, start, 0, sums, at, 0, outputs);
            case F16 -> F16ColumnLinear.dense(w, wAt, rowBytes, count, x, xAt, start, 0, sums, at, 0, outputs);
            case I4 ->
                Int4ColumnLinear.dense(
                        w,
                        wAt,
                        rowBytes,
                        count,
                        scalesAt + from * scaleBytes(),
                        scaleBytes(),
                        group,
                        x,
                        xAt,
                        start,
                        0,
                        sums,
                        at,
                        0,
                        outputs);
            default ->
                Int8ColumnLinear.dense(w, wAt, rowBytes, count, w, scalesAt, x, xAt, start, 0, sums, at, 0, outputs);
        }
    }

    /** One chain of one row: those of its inputs that are in the ascending {@code list}. */
    void listedChain(
            MemorySegment w,
            MemorySegment list,
            long listAt,
            int listed,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            int chain,
            MemorySegment sums,
            long sumsAt) {
        int from = Selection.below(list, listAt, listed, chainBegin(chain));
        int to = Selection.below(list, listAt, listed, chainBegin(chain + 1));
        long at = sumsAt + chain * chainPitch();
        MemorySegment start = chain == 0 ? bias : null;
        listed(w, list, listAt + 4L * from, to - from, x, xAt, start, sums, at, 0, outputs);
    }

    /** Adds the sums of all chains in order. */
    void addChains(MemorySegment sums, long sumsAt, MemorySegment y, long yAt) {
        Elementwise.add(sums, sumsAt, sums, sumsAt + chainPitch(), y, yAt, outputs);
        for (int chain = 2; chain < chains(); chain++) {
            Elementwise.add(y, yAt, sums, sumsAt + chain * chainPitch(), y, yAt, outputs);
        }
    }

    /** Outputs {@code lo} to {@code hi} of one row; {@code x} is prepared. */
    void dense(
            MemorySegment w,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            MemorySegment y,
            long yAt,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        long rowBytes = rowBytes();
        if (isColumnMajor()) {
            switch (type) {
                case F32 -> F32ColumnLinear.dense(w, 0, rowBytes, inputs, x, xAt, bias, 0, y, yAt, lo, hi);
                case BF16 -> Bf16ColumnLinear.dense(w, 0, rowBytes, inputs, x, xAt, bias, 0, y, yAt, lo, hi);
                case F16 -> F16ColumnLinear.dense(w, 0, rowBytes, inputs, x, xAt, bias, 0, y, yAt, lo, hi);
                case I4 ->
                    Int4ColumnLinear.dense(
                            w, 0, rowBytes, inputs, scalesAt, scaleBytes(), group, x, xAt, bias, 0, y, yAt, lo, hi);
                default -> Int8ColumnLinear.dense(w, 0, rowBytes, inputs, w, scalesAt, x, xAt, bias, 0, y, yAt, lo, hi);
            }
        } else {
            switch (type) {
                case F32 ->
                    F32RowLinear.dense(w, 0, rowBytes, inputs, x, xAt, bias, 0, y, yAt, lo, hi, scratch, scratchAt);
                case BF16 ->
                    Bf16RowLinear.dense(w, 0, rowBytes, inputs, x, xAt, bias, 0, y, yAt, lo, hi, scratch, scratchAt);
                case F16 ->
                    F16RowLinear.dense(w, 0, rowBytes, inputs, x, xAt, bias, 0, y, yAt, lo, hi, scratch, scratchAt);
                case I4 ->
                    Int4RowLinear.dense(
                            w,
                            0,
                            rowBytes,
                            inputs,
                            scalesAt,
                            scaleBytes(),
                            group,
                            x,
                            xAt,
                            bias,
                            0,
                            y,
                            yAt,
                            lo,
                            hi,
                            scratch,
                            scratchAt);
                default ->
                    Int8RowLinear.dense(
                            w, 0, rowBytes, inputs, w, scalesAt, x, xAt, bias, 0, y, yAt, lo, hi, scratch, scratchAt);
            }
        }
    }

    /** Outputs {@code lo} to {@code hi} of one row, of the {@code listed} inputs in {@code list} only. Column-major. */
    void listed(
            MemorySegment w,
            MemorySegment list,
            long listAt,
            int listed,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            MemorySegment y,
            long yAt,
            int lo,
            int hi) {
        long rowBytes = rowBytes();
        switch (type) {
            case F32 -> F32ColumnLinear.listed(w, 0, rowBytes, list, listAt, listed, x, xAt, bias, 0, y, yAt, lo, hi);
            case BF16 -> Bf16ColumnLinear.listed(w, 0, rowBytes, list, listAt, listed, x, xAt, bias, 0, y, yAt, lo, hi);
            case F16 -> F16ColumnLinear.listed(w, 0, rowBytes, list, listAt, listed, x, xAt, bias, 0, y, yAt, lo, hi);
            case I4 ->
                Int4ColumnLinear.listed(
                        w,
                        0,
                        rowBytes,
                        list,
                        listAt,
                        listed,
                        scalesAt,
                        scaleBytes(),
                        group,
                        x,
                        xAt,
                        bias,
                        0,
                        y,
                        yAt,
                        lo,
                        hi);
            default ->
                Int8ColumnLinear.listed(
                        w, 0, rowBytes, list, listAt, listed, w, scalesAt, x, xAt, bias, 0, y, yAt, lo, hi);
        }
    }

    /** Those outputs from {@code lo} to {@code hi} of one row that are in {@code list}; the others are zero. Row-major. */
    void masked(
            MemorySegment w,
            MemorySegment list,
            long listAt,
            int listed,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            MemorySegment y,
            long yAt,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        long rowBytes = rowBytes();
        switch (type) {
            case F32 ->
                F32RowLinear.masked(
                        w, 0, rowBytes, inputs, list, listAt, listed, x, xAt, bias, 0, y, yAt, lo, hi, scratch,
                        scratchAt);
            case BF16 ->
                Bf16RowLinear.masked(
                        w, 0, rowBytes, inputs, list, listAt, listed, x, xAt, bias, 0, y, yAt, lo, hi, scratch,
                        scratchAt);
            case F16 ->
                F16RowLinear.masked(
                        w, 0, rowBytes, inputs, list, listAt, listed, x, xAt, bias, 0, y, yAt, lo, hi, scratch,
                        scratchAt);
            case I4 ->
                Int4RowLinear.masked(
                        w,
                        0,
                        rowBytes,
                        inputs,
                        scalesAt,
                        scaleBytes(),
                        group,
                        list,
                        listAt,
                        listed,
                        x,
                        xAt,
                        bias,
                        0,
                        y,
                        yAt,
                        lo,
                        hi,
                        scratch,
                        scratchAt);
            default ->
                Int8RowLinear.masked(
                        w, 0, rowBytes, inputs, w, scalesAt, list, listAt, listed, x, xAt, bias, 0, y, yAt, lo, hi,
                        scratch, scratchAt);
        }
    }

    /** One row as f32. Row-major. */
    void widenRow(MemorySegment w, int row, MemorySegment y, long yAt) {
        long from = row * rowBytes();
        switch (type) {
            case F32 -> MemorySegment.copy(w, from, y, yAt, 4L * inputs);
            case BF16 -> Conversions.bf16ToFloat(w, from, y, yAt, inputs);
            case F16 -> Conversions.f16ToFloat(w, from, y, yAt, inputs);
            case I4 -> Int4.widenRow(w, from, scalesAt + row * scaleBytes(), group, 0, inputs, false, y, yAt);
            default -> Conversions.int8ToFloat(w, from, w.get(Lanes.FLOAT, scalesAt + 4L * row), y, yAt, inputs);
        }
    }
}
