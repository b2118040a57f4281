package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.Memory.ALL;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShape;
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

    /** COUNT shorts. */
    static final VectorSpecies<Short> HALF = VectorSpecies.of(short.class, VectorShape.forBitSize(16 * COUNT));

    /** COUNT bytes, but 8 where there are only 4 lanes: there every load reads 4 bytes too many. */
    static final VectorSpecies<Byte> QUARTER =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, 8 * COUNT)));

    static final ByteOrder LE = ByteOrder.LITTLE_ENDIAN;
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LE);

    /**
     * For numbers that are broadcast, of activations and scratch, which lie on multiples of four. C2 loads an aligned float straight into all lanes; an
     * unaligned one goes through a general register first. With AVX2, where a vector is multiplied in half the time, the product of matrices took 2.2 times
     * as long (Zen 3).
     */
    static final ValueLayout.OfFloat FLOAT_ALIGNED = ValueLayout.JAVA_FLOAT.withOrder(LE);

    static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(LE);
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LE);
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(LE);
    static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;

    /** Lane i from i / 2, and from half a vector on: the places of an interleaved sequence. See {@link #ODD_LANES}. */
    static final VectorShuffle<Float> DOUBLE_LOW = VectorShuffle.fromOp(F, i -> i / 2);

    static final VectorShuffle<Float> DOUBLE_HIGH = VectorShuffle.fromOp(F, i -> i / 2 + COUNT / 2);

    /** Lane i from i / 4. */
    static final VectorShuffle<Float> FOURFOLD_LOW = VectorShuffle.fromOp(F, i -> i / 4);

    /** Lane i from 2i and from 2i + 1, twice over: the even and the odd elements. See {@link #UPPER_LANES}. */
    static final VectorShuffle<Float> EVENS = VectorShuffle.fromOp(F, i -> 2 * i % COUNT);

    static final VectorShuffle<Float> ODDS = VectorShuffle.fromOp(F, i -> (2 * i + 1) % COUNT);

    static final VectorMask<Float> ODD_LANES = VectorMask.fromLong(F, 0xaaaa_aaaa_aaaa_aaaaL);
    static final VectorMask<Float> UPPER_LANES = VectorMask.fromLong(F, -1L << (COUNT / 2));

    /** Lanes whose number has bit 1, and bit 2, as {@link #ODD_LANES} are those that have bit 0. */
    static final VectorMask<Float> BIT1_LANES = VectorMask.fromLong(F, 0xcccc_cccc_cccc_ccccL);

    static final VectorMask<Float> BIT2_LANES = VectorMask.fromLong(F, 0xf0f0_f0f0_f0f0_f0f0L);

    /** Lane i from the lane whose number differs in bit 0, 1, 2. */
    static final VectorShuffle<Float> SWAP1 = VectorShuffle.fromOp(F, i -> i ^ 1);

    static final VectorShuffle<Float> SWAP2 = VectorShuffle.fromOp(F, i -> i ^ 2);
    static final VectorShuffle<Float> SWAP4 = VectorShuffle.fromOp(F, i -> (i ^ 4) % COUNT);

    /** Steps of the halving tree: lane i is added to lane i + 8, i + 4, i + 2, i + 1; only for vectors longer than that. */
    static final VectorShuffle<Float> FOLD8 = VectorShuffle.fromOp(F, i -> (i + 8) % COUNT);

    static final VectorShuffle<Float> FOLD4 = VectorShuffle.fromOp(F, i -> (i + 4) % COUNT);
    static final VectorShuffle<Float> FOLD2 = VectorShuffle.fromOp(F, i -> (i + 2) % COUNT);
    static final VectorShuffle<Float> FOLD1 = VectorShuffle.fromOp(F, i -> (i + 1) % COUNT);

    private Lanes() {}

    /** Sets floats to zero (a slice and its fill would allocate). */
    static void zero(long y, int count) {
        FloatVector zero = FloatVector.zero(F);
        int whole = F.loopBound(count);
        int o = 0;
        for (; o < whole; o += COUNT) {
            zero.intoMemorySegment(ALL, y + 4L * o, LE);
        }
        for (; o < count; o++) {
            ALL.set(FLOAT, y + 4L * o, 0f);
        }
    }

    /** Copies bytes. */
    static void copy(long from, long to, long bytes) {
        long vector = B.vectorByteSize();
        long whole = bytes / vector * vector;
        long at = 0;
        for (; at < whole; at += vector) {
            ByteVector.fromMemorySegment(B, ALL, from + at, LE).intoMemorySegment(ALL, to + at, LE);
        }
        for (; at < bytes; at++) {
            ALL.set(BYTE, to + at, ALL.get(BYTE, from + at));
        }
    }

    /** Sets longs. */
    static void fill(long y, long value, int count) {
        for (int i = 0; i < count; i++) {
            ALL.set(LONG, y + 8L * i, value);
        }
    }
}
