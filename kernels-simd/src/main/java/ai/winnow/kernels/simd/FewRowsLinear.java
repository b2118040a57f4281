package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.GemmTile.VECTOR;
import static ai.winnow.kernels.simd.GemmTile.WIDTH;
import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LE;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * y[r][lo:hi] += sum over p of x[r][p] * W[index[p], lo:hi] for a few rows r, W of any type stored [in][out], y and x f32. The weight is read once for all
 * rows, in pieces of eight inputs by {@link #SLAB} outputs that are widened to f32 (f32 is read where it lies) and stay in cache while the rows pass over
 * them, two at a time.
 *
 * <p>Each output is one fma chain over the listed inputs in ascending order, which gives the bits of a row by itself. Traffic: the weights of the listed
 * inputs once; x and y from cache. Where rows are many, {@link Gemm} reads y less often.
 */
final class FewRowsLinear {

    /** Outputs of a piece: a page of f32. */
    private static final int SLAB = 1024;

    /** Inputs of a piece. */
    private static final int INPUTS = 8;

    /** The most rows of a call. */
    static final int ROWS = 8;

    private static final long PITCH = 4L * SLAB;

    /** Distance at which an address differs most from another in its lowest 12 bits. */
    private static final long APART = PITCH / 2;

    private static final long SUMS_AT = INPUTS * PITCH;

    private static final long LAST_AT = SUMS_AT + (ROWS + 2) * PITCH;

    /** Scratch memory of a call. */
    static final long SCRATCH_BYTES = LAST_AT + 4L * ROWS * INPUTS;

    private FewRowsLinear() {}

    /**
     * Outputs {@code lo} to {@code hi} of up to {@link #ROWS} rows; y holds what the sums start from.
     *
     * @param list int32 inputs in ascending order, or null for all in their order
     * @param x {@code [rows, listed]}: the numbers that belong to the listed inputs
     * @param y {@code [rows, outputs]}
     */
    static void run(
            StoredWeight weight,
            MemorySegment w,
            @Nullable MemorySegment list,
            long listAt,
            int listed,
            MemorySegment x,
            long xAt,
            int rows,
            MemorySegment y,
            int lo,
            int hi,
            MemorySegment scratch,
            long scratchAt) {
        long yPitch = 4L * weight.outputs();
        for (int from = lo; from < hi; from += SLAB) {
            int width = Math.min(SLAB, hi - from);
            boolean readable = weight.type() == DType.F32 && width % WIDTH == 0;
            long read = readable ? w.address() + 4L * from : scratch.address() + scratchAt;
            long sums = scratchAt + SUMS_AT + apart(scratch.address() + scratchAt + SUMS_AT, read);
            Gemm.copyEdge(y, 4L * from, yPitch, scratch, sums, PITCH, rows, width);
            piece(weight, w, list, listAt, listed, from, width, x, xAt, rows, sums, scratch, scratchAt, readable);
            Gemm.copyEdge(scratch, sums, PITCH, y, 4L * from, yPitch, rows, width);
        }
    }

    /**
     * How far to move {@code address}, by less than a page, to be half a page from {@code other} in the bits by which a processor guesses whether a load
     * reads what a store just before it wrote. The rows of W often lie whole pages apart, and sums that lie a line behind them made every load wait for the
     * store before: 5.9 instead of 2.8 ms for 8 rows of f32 2048 -> 8192.
     */
    private static long apart(long address, long other) {
        return (other + APART - address) & (PITCH - Tensor.ALIGNMENT);
    }

    /** All inputs of some outputs, whose sums are in scratch in rows {@link #PITCH} apart. A width that is no multiple of a panel's is filled up. */
    private static void piece(
            StoredWeight weight,
            MemorySegment w,
            @Nullable MemorySegment list,
            long listAt,
            int listed,
            int from,
            int width,
            MemorySegment x,
            long xAt,
            int rows,
            long sums,
            MemorySegment scratch,
            long scratchAt,
            boolean readable) {
        long bytes = (width + WIDTH - 1) / WIDTH * (2 * VECTOR);
        long xPitch = 4L * listed;
        for (int p = 0; p < listed; p += INPUTS) {
            int count = Math.min(INPUTS, listed - p);
            if (readable && count == INPUTS) {
                asTheyLie(w, 4L * from, weight.rowBytes(), list, listAt, p, x, xAt, xPitch, rows, scratch, sums, bytes);
                continue;
            }
            weight.widen(w, list, listAt, p, count, from, width, scratch, scratchAt, PITCH);
            if (count < INPUTS) {
                fillUp(x, xAt + 4L * p, xPitch, rows, count, scratch, scratchAt, bytes);
            }
            add(
                    scratch,
                    scratchAt,
                    scratchAt + PITCH,
                    scratchAt + 2 * PITCH,
                    scratchAt + 3 * PITCH,
                    scratchAt + 4 * PITCH,
                    scratchAt + 5 * PITCH,
                    scratchAt + 6 * PITCH,
                    scratchAt + 7 * PITCH,
                    count < INPUTS ? scratch : x,
                    count < INPUTS ? scratchAt + LAST_AT : xAt + 4L * p,
                    count < INPUTS ? 4L * INPUTS : xPitch,
                    rows,
                    scratch,
                    sums,
                    bytes);
        }
    }

    private static void asTheyLie(
            MemorySegment w,
            long wAt,
            long rowBytes,
            @Nullable MemorySegment list,
            long listAt,
            int p,
            MemorySegment x,
            long xAt,
            long xPitch,
            int rows,
            MemorySegment scratch,
            long sums,
            long bytes) {
        add(
                w,
                wAt + ColumnOrder.input(list, listAt, p) * rowBytes,
                wAt + ColumnOrder.input(list, listAt, p + 1) * rowBytes,
                wAt + ColumnOrder.input(list, listAt, p + 2) * rowBytes,
                wAt + ColumnOrder.input(list, listAt, p + 3) * rowBytes,
                wAt + ColumnOrder.input(list, listAt, p + 4) * rowBytes,
                wAt + ColumnOrder.input(list, listAt, p + 5) * rowBytes,
                wAt + ColumnOrder.input(list, listAt, p + 6) * rowBytes,
                wAt + ColumnOrder.input(list, listAt, p + 7) * rowBytes,
                x,
                xAt + 4L * p,
                xPitch,
                rows,
                scratch,
                sums,
                bytes);
    }

    /** The last inputs, fewer than a piece, are followed by zeros that count for nothing. */
    private static void fillUp(
            MemorySegment x,
            long xAt,
            long xPitch,
            int rows,
            int count,
            MemorySegment scratch,
            long scratchAt,
            long bytes) {
        for (int i = count; i < INPUTS; i++) {
            Lanes.zero(scratch, scratchAt + i * PITCH, (int) (bytes / 4));
        }
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < INPUTS; i++) {
                float value = i < count ? x.get(FLOAT, xAt + r * xPitch + 4L * i) : 0;
                scratch.set(FLOAT, scratchAt + LAST_AT + 4L * INPUTS * r + 4L * i, value);
            }
        }
    }

    /** Two rows at a time; of an odd number the last goes beside itself, into sums that nobody reads. */
    private static void add(
            MemorySegment w,
            long w0,
            long w1,
            long w2,
            long w3,
            long w4,
            long w5,
            long w6,
            long w7,
            MemorySegment x,
            long xAt,
            long xPitch,
            int rows,
            MemorySegment y,
            long yAt,
            long bytes) {
        for (int r = 0; r < rows; r += 2) {
            long xa = xAt + r * xPitch;
            long xb = r + 1 < rows ? xa + xPitch : xa;
            long ya = yAt + r * PITCH;
            add8x2(w, w0, w1, w2, w3, w4, w5, w6, w7, x, xa, xb, y, ya, ya + PITCH, bytes);
        }
    }

    private static void add8x2(
            MemorySegment w,
            long w0,
            long w1,
            long w2,
            long w3,
            long w4,
            long w5,
            long w6,
            long w7,
            MemorySegment x,
            long xa,
            long xb,
            MemorySegment y,
            long ya,
            long yb,
            long bytes) {
        FloatVector a0 = FloatVector.broadcast(F, x.get(FLOAT, xa));
        FloatVector a1 = FloatVector.broadcast(F, x.get(FLOAT, xa + 4));
        FloatVector a2 = FloatVector.broadcast(F, x.get(FLOAT, xa + 8));
        FloatVector a3 = FloatVector.broadcast(F, x.get(FLOAT, xa + 12));
        FloatVector a4 = FloatVector.broadcast(F, x.get(FLOAT, xa + 16));
        FloatVector a5 = FloatVector.broadcast(F, x.get(FLOAT, xa + 20));
        FloatVector a6 = FloatVector.broadcast(F, x.get(FLOAT, xa + 24));
        FloatVector a7 = FloatVector.broadcast(F, x.get(FLOAT, xa + 28));
        FloatVector b0 = FloatVector.broadcast(F, x.get(FLOAT, xb));
        FloatVector b1 = FloatVector.broadcast(F, x.get(FLOAT, xb + 4));
        FloatVector b2 = FloatVector.broadcast(F, x.get(FLOAT, xb + 8));
        FloatVector b3 = FloatVector.broadcast(F, x.get(FLOAT, xb + 12));
        FloatVector b4 = FloatVector.broadcast(F, x.get(FLOAT, xb + 16));
        FloatVector b5 = FloatVector.broadcast(F, x.get(FLOAT, xb + 20));
        FloatVector b6 = FloatVector.broadcast(F, x.get(FLOAT, xb + 24));
        FloatVector b7 = FloatVector.broadcast(F, x.get(FLOAT, xb + 28));
        for (long o = 0; o < bytes; o += 4L * COUNT) {
            FloatVector a = FloatVector.fromMemorySegment(F, y, ya + o, LE);
            FloatVector b = FloatVector.fromMemorySegment(F, y, yb + o, LE);
            FloatVector v0 = FloatVector.fromMemorySegment(F, w, w0 + o, LE);
            a = v0.fma(a0, a);
            b = v0.fma(b0, b);
            FloatVector v1 = FloatVector.fromMemorySegment(F, w, w1 + o, LE);
            a = v1.fma(a1, a);
            b = v1.fma(b1, b);
            FloatVector v2 = FloatVector.fromMemorySegment(F, w, w2 + o, LE);
            a = v2.fma(a2, a);
            b = v2.fma(b2, b);
            FloatVector v3 = FloatVector.fromMemorySegment(F, w, w3 + o, LE);
            a = v3.fma(a3, a);
            b = v3.fma(b3, b);
            FloatVector v4 = FloatVector.fromMemorySegment(F, w, w4 + o, LE);
            a = v4.fma(a4, a);
            b = v4.fma(b4, b);
            FloatVector v5 = FloatVector.fromMemorySegment(F, w, w5 + o, LE);
            a = v5.fma(a5, a);
            b = v5.fma(b5, b);
            FloatVector v6 = FloatVector.fromMemorySegment(F, w, w6 + o, LE);
            a = v6.fma(a6, a);
            b = v6.fma(b6, b);
            FloatVector v7 = FloatVector.fromMemorySegment(F, w, w7 + o, LE);
            a = v7.fma(a7, a);
            b = v7.fma(b7, b);
            a.intoMemorySegment(y, ya + o, LE);
            b.intoMemorySegment(y, yb + o, LE);
        }
    }
}
