package ai.winnow.calibrate;

import ai.winnow.ArtefactException;
import ai.winnow.method.Calibration;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How often each magnitude was seen. A bin is an exponent of two and the next 7 bits of the fraction, so it is at most 1/128 as
 * wide as the values in it and the range adapts by itself: activations have outliers a million times their median, over which
 * bins of equal width would leave the median in the first. Exact zeros are counted apart. The order in which values come does
 * not matter, and {@link #merge} is exact.
 */
public final class Histogram implements Calibration.Observer {

    private static final int SHIFT = 16;

    /** Bins of all finite floats. */
    private static final int BINS = 0x7f80;

    private final long[] counts = new long[BINS];
    private long zeros;
    private long total;

    /**
     * Counts {@code |value|}.
     *
     * @throws IllegalArgumentException if it is NaN or infinite
     */
    public void add(float value) {
        int bits = Float.floatToRawIntBits(value) & 0x7fffffff;
        if (bits == 0) {
            zeros++;
        } else if (bits >>> SHIFT >= BINS) {
            throw new IllegalArgumentException("a histogram of magnitudes cannot count " + value);
        } else {
            counts[bits >>> SHIFT]++;
        }
        total++;
    }

    @Override
    public void accept(Tensor values, int rows) {
        MemorySegment segment = values.segment();
        long count = rows * values.shape().rowElements();
        for (long i = 0; i < count; i++) {
            add(segment.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * i));
        }
    }

    /** Counts {@code |x_j| * factors_j} of each row. */
    public void add(Tensor values, int rows, float[] factors) {
        MemorySegment segment = values.segment();
        for (int row = 0; row < rows; row++) {
            long start = 4L * row * factors.length;
            for (int j = 0; j < factors.length; j++) {
                add(segment.get(ValueLayout.JAVA_FLOAT_UNALIGNED, start + 4L * j) * factors[j]);
            }
        }
    }

    /** Adds what {@code other} has counted. */
    public void merge(Histogram other) {
        for (int bin = 0; bin < BINS; bin++) {
            counts[bin] += other.counts[bin];
        }
        zeros += other.zeros;
        total += other.total;
    }

    /** Values counted, zeros included. */
    public long total() {
        return total;
    }

    /**
     * The magnitude that a share {@code q} of the values does not exceed, interpolated within its bin.
     *
     * @throws IllegalArgumentException unless {@code q} is from 0 to 1
     * @throws IllegalStateException if nothing was counted
     */
    public float quantile(double q) {
        if (!(q >= 0 && q <= 1)) {
            throw new IllegalArgumentException("a quantile is asked for by a share from 0 to 1, not " + q);
        }
        if (total == 0) {
            throw new IllegalStateException("a histogram that has counted nothing has no quantiles");
        }
        double rank = q * total;
        double below = zeros;
        if (rank <= below) {
            return 0;
        }
        int bin = 0;
        while (below + counts[bin] < rank) {
            below += counts[bin++];
        }
        double least = Float.intBitsToFloat(bin << SHIFT);
        double greatest = Float.intBitsToFloat(((bin + 1) << SHIFT) - 1);
        return (float) (least + (greatest - least) * ((rank - below) / counts[bin]));
    }

    /** This histogram as I64 {@code [2 + n]}: zeros, the number of the first bin that is not empty, and n bins from there on. */
    public Tensor toTensor(Arena arena) {
        int first = 0;
        int end = BINS;
        while (first < end && counts[first] == 0) {
            first++;
        }
        while (end > first && counts[end - 1] == 0) {
            end--;
        }
        Tensor tensor = Tensor.allocate(arena, DType.I64, 2L + end - first);
        MemorySegment segment = tensor.segment();
        segment.setAtIndex(ValueLayout.JAVA_LONG, 0, zeros);
        segment.setAtIndex(ValueLayout.JAVA_LONG, 1, first);
        MemorySegment.copy(counts, first, segment, ValueLayout.JAVA_LONG, 16, end - first);
        return tensor;
    }

    /**
     * The histogram that {@link #toTensor} wrote.
     *
     * @throws ArtefactException if it is not one
     */
    public static Histogram of(Tensor tensor) {
        if (tensor.dtype() != DType.I64
                || tensor.shape().rank() != 1
                || tensor.shape().max(0) < 2
                || tensor.shape().max(0) > 2 + BINS) {
            throw new ArtefactException(
                    "expected a histogram, I64 [2] to I64 [" + (2 + BINS) + "], found " + tensor.spec());
        }
        int bins = Math.toIntExact(tensor.shape().max(0) - 2);
        long first = at(tensor, 1);
        if (first < 0 || first > BINS - bins) {
            throw new ArtefactException(
                    "a histogram of " + bins + " bins cannot begin with bin " + first + " of " + BINS);
        }
        Histogram histogram = new Histogram();
        histogram.zeros = count(at(tensor, 0));
        histogram.total = histogram.zeros;
        for (int i = 0; i < bins; i++) {
            long count = count(at(tensor, 2 + i));
            histogram.counts[(int) first + i] = count;
            histogram.total += count;
        }
        return histogram;
    }

    private static long at(Tensor tensor, int index) {
        return tensor.segment().get(ValueLayout.JAVA_LONG_UNALIGNED, 8L * index);
    }

    private static long count(long found) {
        // Half the bits: so many values take years to count, and sums of all bins cannot overflow.
        if (found < 0 || found > 1L << 47) {
            throw new ArtefactException("a histogram cannot have counted " + found + " values of a kind");
        }
        return found;
    }
}
