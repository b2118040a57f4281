package ai.winnow.contract;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * The tokens of a {@link RetrievalModel} and the bits by which its heads tell them apart. Fillers come first (token 0 begins a
 * text), then keys in clusters of near matches, then values.
 *
 * <p>The codes of fillers and values and the bases of clusters differ from each other in at least {@value #BASE_DISTANCE} of
 * {@value #BITS} bits. The keys of a cluster are its base with {@value #FLIPS} bits turned, other bits in each: two of them differ
 * in exactly {@value #LEAST_DISTANCE}, and keys of two clusters in at least {@value #BASE_DISTANCE} - 2 * {@value #FLIPS}.
 */
public final class RetrievalCodes {

    /** Bits of a code. */
    public static final int BITS = 48;

    public static final int FILLERS = 256;
    public static final int CLUSTERS = 256;
    public static final int CLUSTER_SIZE = 8;

    /** The fewest bits in which fillers, values and bases of clusters differ. */
    public static final int BASE_DISTANCE = 14;

    /** Bits in which a key differs from its cluster's base. */
    public static final int FLIPS = 3;

    /** The fewest bits in which any two tokens differ: those of keys of a cluster. */
    public static final int LEAST_DISTANCE = 2 * FLIPS;

    private static final int FIRST_KEY = FILLERS;

    private static final int FIRST_VALUE = FIRST_KEY + CLUSTERS * CLUSTER_SIZE;

    private final long[] codes;

    RetrievalCodes(long seed, int values) {
        SplittableRandom random = new SplittableRandom(seed);
        long[] bases = bases(random, FILLERS + CLUSTERS + values);
        codes = new long[FIRST_VALUE + values];
        System.arraycopy(bases, 0, codes, 0, FILLERS);
        for (int cluster = 0; cluster < CLUSTERS; cluster++) {
            List<Integer> order = new ArrayList<>();
            for (int bit = 0; bit < BITS; bit++) {
                order.add(random.nextInt(bit + 1), bit);
            }
            for (int member = 0; member < CLUSTER_SIZE; member++) {
                long code = bases[FILLERS + cluster];
                for (int bit : order.subList(member * FLIPS, (member + 1) * FLIPS)) {
                    code ^= 1L << bit;
                }
                codes[key(cluster, member)] = code;
            }
        }
        System.arraycopy(bases, FILLERS + CLUSTERS, codes, FIRST_VALUE, values);
    }

    private static long[] bases(SplittableRandom random, int count) {
        long[] bases = new long[count];
        for (int i = 0; i < count; i++) {
            long candidate;
            do {
                candidate = random.nextLong(1L << BITS);
            } while (isNear(candidate, bases, i));
            bases[i] = candidate;
        }
        return bases;
    }

    private static boolean isNear(long code, long[] others, int count) {
        for (int i = 0; i < count; i++) {
            if (Long.bitCount(code ^ others[i]) < BASE_DISTANCE) {
                return true;
            }
        }
        return false;
    }

    /** How many tokens there are. */
    public int size() {
        return codes.length;
    }

    /** Key {@code member} of a cluster. */
    public static int key(int cluster, int member) {
        return FIRST_KEY + cluster * CLUSTER_SIZE + member;
    }

    /** Value number {@code index}. */
    public static int value(int index) {
        return FIRST_VALUE + index;
    }

    /** Bit {@code bit} of the code of {@code token}: 1 or -1. */
    public int sign(int token, int bit) {
        return (codes[token] >>> bit & 1) == 0 ? -1 : 1;
    }

    /** In how many bits the codes of two tokens differ. */
    public int distance(int token, int other) {
        return Long.bitCount(codes[token] ^ codes[other]);
    }
}
