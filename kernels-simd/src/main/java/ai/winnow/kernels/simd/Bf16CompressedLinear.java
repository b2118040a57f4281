package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.FLOAT;
import static ai.winnow.kernels.simd.Lanes.LONG;
import static ai.winnow.kernels.simd.Lanes.SHORT;
import static ai.winnow.kernels.simd.Memory.ALL;

import ai.winnow.tensor.CompressedRows;

/**
 * y[o] = bias[o] + sum over k of x[k] * W[o, k], W bf16 in {@link CompressedRows}.
 *
 * <p>Scalar: a gather takes 7 to 8 ns (docs/decisions/0013). An output has four fma chains: chain i takes the row's non-zeros i, i + 4, i + 8, ...; the result
 * is ((0 + 1) + (2 + 3)) + bias. Inputs of which an output has no weight are never read. Traffic: the weight once.
 */
final class Bf16CompressedLinear {

    private Bf16CompressedLinear() {}

    /** Rows {@code from} to {@code to}. */
    static void dense(long w, long columns, long values, long x, long bias, long y, int from, int to) {
        long begin = ALL.get(LONG, w + CompressedRows.startAt(from));
        for (int o = from; o < to; o++) {
            long end = ALL.get(LONG, w + CompressedRows.startAt(o + 1));
            float sum = row(columns + 2 * begin, values + 2 * begin, (int) (end - begin), x);
            ALL.set(FLOAT, y + 4L * o, bias == 0 ? sum : sum + ALL.get(FLOAT, bias + 4L * o));
            begin = end;
        }
    }

    private static float row(long c, long v, int count, long x) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        int whole = count & -4;
        for (int i = 0; i < whole; i += 4) {
            long columns = ALL.get(LONG, c + 2L * i);
            long at = v + 2L * i;
            s0 = Math.fma(
                    Float.intBitsToFloat(ALL.get(SHORT, at) << 16), ALL.get(FLOAT, x + ((columns << 2) & 0x3fffc)), s0);
            s1 = Math.fma(
                    Float.intBitsToFloat(ALL.get(SHORT, at + 2) << 16),
                    ALL.get(FLOAT, x + ((columns >>> 14) & 0x3fffc)),
                    s1);
            s2 = Math.fma(
                    Float.intBitsToFloat(ALL.get(SHORT, at + 4) << 16),
                    ALL.get(FLOAT, x + ((columns >>> 30) & 0x3fffc)),
                    s2);
            s3 = Math.fma(
                    Float.intBitsToFloat(ALL.get(SHORT, at + 6) << 16),
                    ALL.get(FLOAT, x + ((columns >>> 46) & 0x3fffc)),
                    s3);
        }
        if (whole < count) {
            s0 = add(c, v, whole, x, s0);
        }
        if (whole + 1 < count) {
            s1 = add(c, v, whole + 1, x, s1);
        }
        if (whole + 2 < count) {
            s2 = add(c, v, whole + 2, x, s2);
        }
        return s0 + s1 + (s2 + s3);
    }

    private static float add(long c, long v, int i, long x, float sum) {
        long column = ALL.get(SHORT, c + 2L * i) & 0xffff;
        return Math.fma(Float.intBitsToFloat(ALL.get(SHORT, v + 2L * i) << 16), ALL.get(FLOAT, x + 4 * column), sum);
    }
}
