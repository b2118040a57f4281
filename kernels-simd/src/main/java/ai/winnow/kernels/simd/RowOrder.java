package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Lanes.COUNT;
import static ai.winnow.kernels.simd.Lanes.EVENS;
import static ai.winnow.kernels.simd.Lanes.F;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Lanes.LE;
import static ai.winnow.kernels.simd.Lanes.ODDS;
import static ai.winnow.kernels.simd.Lanes.UPPER_LANES;
import static ai.winnow.kernels.simd.Memory.ALL;

import jdk.incubator.vector.FloatVector;

/** What the row-major linear kernels of all weight types share. */
final class RowOrder {

    private RowOrder() {}

    /** Position of the first entry of an ascending int32 list that is at least {@code bound}. */
    static int firstAtLeast(long list, int length, int bound) {
        int low = 0;
        int high = length;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ALL.get(INT, list + 4L * middle) < bound) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    static long pairedBytes(int inputs) {
        long group = 2L * COUNT;
        return 4 * ((inputs + group - 1) / group * group);
    }

    /** x * scale in groups of [evens][odds], the last group filled up with zeros. */
    static void pair(long x, int inputs, float scale, long paired) {
        FloatVector scales = FloatVector.broadcast(F, scale);
        for (int k = 0; k < inputs; k += 2 * COUNT) {
            FloatVector a = FloatVector.fromMemorySegment(F, ALL, x + 4L * k, LE, F.indexInRange(k, inputs))
                    .mul(scales);
            FloatVector b = FloatVector.zero(F);
            if (k + COUNT < inputs) {
                b = FloatVector.fromMemorySegment(F, ALL, x + 4L * (k + COUNT), LE, F.indexInRange(k + COUNT, inputs))
                        .mul(scales);
            }
            a.rearrange(EVENS).blend(b.rearrange(EVENS), UPPER_LANES).intoMemorySegment(ALL, paired + 4L * k, LE);
            a.rearrange(ODDS)
                    .blend(b.rearrange(ODDS), UPPER_LANES)
                    .intoMemorySegment(ALL, paired + 4L * (k + COUNT), LE);
        }
    }
}
