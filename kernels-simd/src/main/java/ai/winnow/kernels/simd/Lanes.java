package ai.winnow.kernels.simd;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/** The constants that every kernel of this package shares. All are compile-time constants for C2: never pass them as arguments. */
final class Lanes {

    static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;
    static final VectorSpecies<Short> S = ShortVector.SPECIES_PREFERRED;
    static final VectorSpecies<Byte> B = ByteVector.SPECIES_PREFERRED;

    /** Floats a vector: 4, 8 or 16. */
    static final int COUNT = F.length();

    static final ByteOrder LE = ByteOrder.LITTLE_ENDIAN;
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LE);
    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(LE);
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LE);
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(LE);
    static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;

    /** Two vectors (evens, odds) to the first and the second vector of the interleaved sequence; used with the two-table rearrange. */
    static final VectorShuffle<Float> ZIP_LOW = VectorShuffle.fromOp(F, i -> (i & 1) == 0 ? i / 2 : i / 2 + COUNT);

    static final VectorShuffle<Float> ZIP_HIGH =
            VectorShuffle.fromOp(F, i -> ((i & 1) == 0 ? i / 2 : i / 2 + COUNT) + COUNT / 2);
    /** Two consecutive vectors to their even and their odd elements. */
    static final VectorShuffle<Float> EVENS = VectorShuffle.fromOp(F, i -> 2 * i);

    static final VectorShuffle<Float> ODDS = VectorShuffle.fromOp(F, i -> 2 * i + 1);

    /** Steps of the halving tree: lane i is added to lane i + 8, i + 4, i + 2, i + 1; only for vectors longer than that. */
    static final VectorShuffle<Float> FOLD8 = VectorShuffle.fromOp(F, i -> (i + 8) % COUNT);

    static final VectorShuffle<Float> FOLD4 = VectorShuffle.fromOp(F, i -> (i + 4) % COUNT);
    static final VectorShuffle<Float> FOLD2 = VectorShuffle.fromOp(F, i -> (i + 2) % COUNT);
    static final VectorShuffle<Float> FOLD1 = VectorShuffle.fromOp(F, i -> (i + 1) % COUNT);

    private Lanes() {}

    /** Sets floats to zero (a slice and its fill would allocate). */
    static void zero(MemorySegment y, long yAt, int count) {
        FloatVector zero = FloatVector.zero(F);
        int whole = F.loopBound(count);
        int o = 0;
        for (; o < whole; o += COUNT) {
            zero.intoMemorySegment(y, yAt + 4L * o, LE);
        }
        for (; o < count; o++) {
            y.set(FLOAT, yAt + 4L * o, 0f);
        }
    }
}
