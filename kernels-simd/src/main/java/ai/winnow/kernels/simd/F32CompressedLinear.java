package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Lanes.SHORT;

import ai.winnow.tensor.CompressedRows;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * y[o] = bias[o] + sum over k of x[k] * W[o, k], W f32 in {@link CompressedRows}.
 *
 * <p>Scalar: a gather takes 7 to 8 ns a vector, slower than its lanes one by one. An output has four fma chains: chain i takes the row's non-zeros i, i + 4, i + 8, ...; the result
 * is ((0 + 1) + (2 + 3)) + bias. Inputs of which an output has no weight are never read. Traffic: the weight once.
 */
final class F32CompressedLinear {

    private F32CompressedLinear() {}

    /** Rows {@code from} to {@code to}. */
    static void dense(
            MemorySegment w,
            long columnsAt,
            long valuesAt,
            MemorySegment x,
            long xAt,
            @Nullable MemorySegment bias,
            MemorySegment y,
            long yAt,
            int from,
            int to) {
        long begin = w.get(LONG, CompressedRows.startAt(from));
        for (int o = from; o < to; o++) {
            long end = w.get(LONG, CompressedRows.startAt(o + 1));
            float sum = row(w, columnsAt + 2 * begin, valuesAt + 4 * begin, (int) (end - begin), x, xAt);
            y.set(FLOAT, yAt + 4L * o, bias == null ? sum : sum + bias.get(FLOAT, 4L * o));
            begin = end;
        }
    }

    private static float row(MemorySegment w, long c, long v, int count, MemorySegment x, long xAt) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        int whole = count & -4;
        for (int i = 0; i < whole; i += 4) {
            long columns = w.get(LONG, c + 2L * i);
            long at = v + 4L * i;
            s0 = Math.fma(w.get(FLOAT, at), x.get(FLOAT, xAt + ((columns << 2) & 0x3fffc)), s0);
            s1 = Math.fma(w.get(FLOAT, at + 4), x.get(FLOAT, xAt + ((columns >>> 14) & 0x3fffc)), s1);
            s2 = Math.fma(w.get(FLOAT, at + 8), x.get(FLOAT, xAt + ((columns >>> 30) & 0x3fffc)), s2);
            s3 = Math.fma(w.get(FLOAT, at + 12), x.get(FLOAT, xAt + ((columns >>> 46) & 0x3fffc)), s3);
        }
        if (whole < count) {
            s0 = add(w, c, v, whole, x, xAt, s0);
        }
        if (whole + 1 < count) {
            s1 = add(w, c, v, whole + 1, x, xAt, s1);
        }
        if (whole + 2 < count) {
            s2 = add(w, c, v, whole + 2, x, xAt, s2);
        }
        return s0 + s1 + (s2 + s3);
    }

    private static float add(MemorySegment w, long c, long v, int i, MemorySegment x, long xAt, float sum) {
        long column = w.get(SHORT, c + 2L * i) & 0xffff;
        return Math.fma(w.get(FLOAT, v + 4L * i), x.get(FLOAT, xAt + 4 * column), sum);
    }
}
