package ai.winnow.kernels.simd;

import static ai.winnow.kernels.simd.AllMemory.ALL;
import static ai.winnow.kernels.simd.Lanes.INT;
import static ai.winnow.kernels.simd.Memory.ALL;

/**
 * Brings pages of the cache into L1 and L2 before they are computed with, in an order that memory likes.
 *
 * <p>Computing does not overlap with reading from memory: the loads of few lines fit beside the arithmetic into the processor's window.
 * So reading is done by itself, one word a line, eight streams of 4 KiB side by side, because hardware prefetchers start anew at each 4
 * KiB: 23 GB/s on one thread where pages of 16 KiB in random order are read at 13.
 */
final class PageTouch {

    private static final long LINE = 64;

    /** Bytes of a stream at most. */
    private static final long STREAM = 4096;

    private PageTouch() {}

    /** How many pages of keys and of values are touched together. */
    static int together(long pageBytes) {
        return pageBytes <= 2 * STREAM ? 2 : 1;
    }

    /** Touches two pieces of memory of at least 128 bytes. @return something that depends on all of it, so that it is not left out */
    static int touch(long a, long b, long bytes) {
        long stream = Math.min(STREAM, bytes / 2 & -LINE);
        int seen = 0;
        for (long at = 0; at < bytes; at += 4 * stream) {
            long first = Math.min(at, bytes - 2 * stream);
            long second = Math.min(at + 2 * stream, bytes - 2 * stream);
            seen ^= streams(a + first, b + first, a + second, b + second, stream);
        }
        return seen;
    }

    /** Touches four pieces of memory of at least 128 bytes and at most two streams. */
    static int touch(long a, long b, long c, long d, long bytes) {
        return streams(a, b, c, d, Math.min(STREAM, bytes / 2 & -LINE));
    }

    /** Two streams from each place, one behind the other. */
    private static int streams(long a, long b, long c, long d, long stream) {
        int seen = 0;
        for (long at = 0; at != stream; at += LINE) {
            seen ^= ALL.get(INT, a + at) ^ ALL.get(INT, b + at) ^ ALL.get(INT, c + at) ^ ALL.get(INT, d + at);
            long then = stream + at;
            seen ^= ALL.get(INT, a + then) ^ ALL.get(INT, b + then) ^ ALL.get(INT, c + then) ^ ALL.get(INT, d + then);
        }
        return seen;
    }
}
