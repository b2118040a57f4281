package ai.winnow.examples;

import ai.winnow.ArtefactException;
import ai.winnow.io.Fingerprint;
import ai.winnow.io.TensorSource;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * A checkpoint that nobody trained: every tensor is computed from a seed when it is asked for. Matrices are normally distributed
 * with the deviation that models are initialised with, vectors (the weights of norms) are 1, so activations keep a sane size
 * through any number of layers. The same seed gives the same bits, however many threads compute them.
 */
public final class RandomWeights implements TensorSource {

    /** What Llama's own configuration calls {@code initializer_range}. */
    private static final float DEVIATION = 0.02f;

    /** Numbers to draw from: drawing from a table is ten times as fast as computing a logarithm for each. */
    private static final int TABLE_BITS = 16;

    private static final int CHUNK_WORDS = 1 << 16;
    private static final long GOLDEN = 0x9e3779b97f4a7c15L;

    private final Map<String, TensorSpec> specs;
    private final long seed;
    private final float[] table;
    private final short[] bf16Table;

    public RandomWeights(Map<String, TensorSpec> specs, long seed) {
        this.specs = Collections.unmodifiableMap(new LinkedHashMap<>(specs));
        this.seed = seed;
        this.table = new float[1 << TABLE_BITS];
        this.bf16Table = new short[1 << TABLE_BITS];
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < table.length; i += 2) {
            short bits = bf16(DEVIATION * (float) random.nextGaussian());
            // Each number comes with its negative, so that the mean is exactly 0: rows of thousands would add up a
            // small one.
            set(i, bits);
            set(i + 1, (short) (bits ^ 0x8000));
        }
    }

    private void set(int index, short bits) {
        bf16Table[index] = bits;
        table[index] = Float.intBitsToFloat(bits << 16);
    }

    @Override
    public Set<String> names() {
        return specs.keySet();
    }

    @Override
    public @Nullable TensorSpec spec(String name) {
        return specs.get(name);
    }

    @Override
    public Tensor load(String name, Arena arena) {
        TensorSpec spec = specs.get(name);
        if (spec == null) {
            throw new ArtefactException("there is no tensor '" + name + "' in " + specs.keySet());
        }
        Tensor tensor = Tensor.allocate(arena, spec, Layout.ROW_MAJOR);
        long tensorSeed = mix(seed ^ name.hashCode() * GOLDEN);
        switch (spec.dtype()) {
            case BF16 -> fillBf16(tensor.segment(), spec, tensorSeed);
            case F32 -> fillF32(tensor.segment(), spec, tensorSeed);
            default -> throw new ArtefactException("random weights are BF16 or F32, not " + spec);
        }
        return Tensor.wrap(tensor.segment().asReadOnly(), spec);
    }

    private void fillBf16(MemorySegment segment, TensorSpec spec, long tensorSeed) {
        long count = spec.shape().maxElements();
        if (spec.shape().rank() == 1) {
            for (long i = 0; i < count; i++) {
                segment.setAtIndex(ValueLayout.JAVA_SHORT, i, bf16(1));
            }
            return;
        }
        inChunks(count, (from, to) -> {
            long word = from / 4;
            long i = from;
            for (; i + 4 <= to; i += 4) {
                long bits = mix(tensorSeed + ++word * GOLDEN);
                long four = (bf16Table[(int) bits & 0xffff] & 0xffffL)
                        | (bf16Table[(int) (bits >>> 16) & 0xffff] & 0xffffL) << 16
                        | (bf16Table[(int) (bits >>> 32) & 0xffff] & 0xffffL) << 32
                        | (long) bf16Table[(int) (bits >>> 48)] << 48;
                segment.set(ValueLayout.JAVA_LONG_UNALIGNED, 2 * i, four);
            }
            long bits = mix(tensorSeed + ++word * GOLDEN);
            for (; i < to; i++, bits >>>= 16) {
                segment.setAtIndex(ValueLayout.JAVA_SHORT, i, bf16Table[(int) bits & 0xffff]);
            }
        });
    }

    private void fillF32(MemorySegment segment, TensorSpec spec, long tensorSeed) {
        long count = spec.shape().maxElements();
        boolean vector = spec.shape().rank() == 1;
        inChunks(count, (from, to) -> {
            for (long i = from; i < to; i++) {
                long bits = mix(tensorSeed + (i / 4 + 1) * GOLDEN) >>> (16 * (i % 4));
                segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, vector ? 1 : table[(int) bits & 0xffff]);
            }
        });
    }

    private interface Range {
        void fill(long from, long to);
    }

    private static void inChunks(long count, Range range) {
        long chunk = 4L * CHUNK_WORDS;
        IntStream.range(0, Math.toIntExact((count + chunk - 1) / chunk))
                .parallel()
                .forEach(i -> range.fill(i * chunk, Math.min(count, (i + 1) * chunk)));
    }

    /** The finaliser of SplitMix64: neighbouring inputs give unrelated outputs. */
    private static long mix(long z) {
        long x = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        x = (x ^ x >>> 27) * 0x94d049bb133111ebL;
        return x ^ x >>> 31;
    }

    private static short bf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16);
    }

    /** Of the seed and the specs, which together are the weights. */
    @Override
    public String fingerprint() {
        Fingerprint digest = new Fingerprint().add("random").add(seed);
        specs.forEach((name, spec) -> digest.add(name).add(spec.toString()));
        return digest.hex();
    }

    @Override
    public void close() {
        // There is nothing to let go of: every tensor belongs to its arena.
    }
}
