package ai.winnow.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout.Order;
import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class GemmTest {

    private static final List<DType> TYPES = List.of(DType.F32, DType.BF16, DType.F16, DType.I8);
    private static final int[] ROWS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 24, 25, 37, 50, 103};
    private static final int[] OUTPUTS = {1, 15, 16, 17, 31, 32, 33, 48, 64, 65, 100, 257, 300};
    private static final int[] INPUTS = {1, 7, 8, 9, 64, 129, 256, 257, 530};
    private static final int GUARDS = 32;
    private static final float GUARD = -7.75e11f;

    /** A product: its operands, and every output as one chain of Math.fma over ascending inputs. */
    private record Problem(
            DType type,
            Order order,
            int m,
            int n,
            int k,
            MemorySegment a,
            MemorySegment w,
            @Nullable MemorySegment index,
            @Nullable MemorySegment scales,
            @Nullable MemorySegment bias,
            MemorySegment c,
            MemorySegment scratch,
            float[] wanted) {

        static Problem random(Arena arena, DType type, Order order, int m, int n, int k, long seed) {
            Random random = new Random(seed);
            MemorySegment a = floats(arena, random, (long) m * k);
            int[] inputs = inputs(order, k, random);
            int last = inputs[k - 1];
            MemorySegment w = arena.allocate(type.bytes((long) n * (last + 1)));
            MemorySegment index = last + 1 > k ? arena.allocateFrom(ValueLayout.JAVA_INT, inputs) : null;
            float[] weights = new float[n * k]; // [n][k]
            for (int o = 0; o < n; o++) {
                for (int j = 0; j < k; j++) {
                    long at = order == Order.ROW_MAJOR ? (long) o * k + j : (long) inputs[j] * n + o;
                    weights[o * k + j] = setWeight(type, w, at, random);
                }
            }
            MemorySegment scales = type == DType.I8 ? floats(arena, random, n) : null;
            MemorySegment bias = random.nextBoolean() ? floats(arena, random, n) : null;
            float[] wanted = new float[m * n];
            for (int r = 0; r < m; r++) {
                for (int o = 0; o < n; o++) {
                    float start = bias == null ? 0f : bias.get(ValueLayout.JAVA_FLOAT, 4L * o);
                    float sum = scales == null ? start : 0f;
                    for (int j = 0; j < k; j++) {
                        sum = Math.fma(weights[o * k + j], a.get(ValueLayout.JAVA_FLOAT, 4L * (r * k + j)), sum);
                    }
                    wanted[r * n + o] =
                            scales == null ? sum : Math.fma(sum, scales.get(ValueLayout.JAVA_FLOAT, 4L * o), start);
                }
            }
            MemorySegment c = arena.allocate(4L * ((long) m * n + 2 * GUARDS), 64);
            MemorySegment scratch = arena.allocate(3 * Gemm.SCRATCH_BYTES, 64);
            return new Problem(type, order, m, n, k, a, w, index, scales, bias, c, scratch, wanted);
        }

        /** The inputs of W that the columns of A belong to: the first ones, or, of every other column-major weight, some. */
        private static int[] inputs(Order order, int k, Random random) {
            boolean listed = order == Order.COLUMN_MAJOR && random.nextBoolean();
            int[] inputs = new int[k];
            for (int j = 0; j < k; j++) {
                inputs[j] = j == 0 ? 0 : inputs[j - 1] + 1;
                inputs[j] += listed ? random.nextInt(3) : 0;
            }
            return inputs;
        }

        private static MemorySegment floats(Arena arena, Random random, long count) {
            MemorySegment segment = arena.allocate(4 * count, 64);
            for (long i = 0; i < count; i++) {
                segment.set(ValueLayout.JAVA_FLOAT, 4 * i, (float) random.nextGaussian());
            }
            return segment;
        }

        private static float setWeight(DType type, MemorySegment w, long at, Random random) {
            float value = type == DType.I8 ? random.nextInt(-128, 128) : (float) random.nextGaussian();
            if (random.nextInt(16) == 0) {
                value = type == DType.F16 ? 0x1p-20f * random.nextInt(-9, 9) : 0f; // subnormal in f16
            }
            type.setFloat(w, at, value);
            return type.getFloat(w, at);
        }

        /** Runs the kernel in {@code parts} parts on a C full of guards. */
        float[] run(int parts) {
            for (long i = 0; i < c.byteSize() / 4; i++) {
                c.set(ValueLayout.JAVA_FLOAT, 4 * i, GUARD);
            }
            for (int part = parts - 1; part >= 0; part--) {
                part(part, parts);
            }
            return c.asSlice(4L * GUARDS, 4L * m * n).toArray(ValueLayout.JAVA_FLOAT);
        }

        void part(int part, int parts) {
            int lo = n * part / parts;
            int hi = n * (part + 1) / parts;
            Gemm.run(
                    type,
                    order,
                    a.address(),
                    m,
                    k,
                    w.address(),
                    n,
                    address(index),
                    address(scales),
                    address(bias),
                    c.address() + 4L * GUARDS,
                    lo,
                    hi,
                    scratch.address() + part * Gemm.SCRATCH_BYTES);
        }

        private static long address(@Nullable MemorySegment segment) {
            return segment == null ? 0 : segment.address();
        }

        boolean guardsIntact() {
            for (int i = 0; i < GUARDS; i++) {
                if (c.get(ValueLayout.JAVA_FLOAT, 4L * i) != GUARD
                        || c.get(ValueLayout.JAVA_FLOAT, c.byteSize() - 4L * (i + 1)) != GUARD) {
                    return false;
                }
            }
            return true;
        }
    }

    record Shape(DType type, Order order, int m, int n, int k) {}

    /** Each row count with each output count of each type and order; the input counts and a seed are drawn for each. */
    static Stream<Shape> shapes() {
        List<Shape> shapes = new ArrayList<>();
        Random random = new Random(20250607);
        for (DType type : TYPES) {
            for (Order order : Order.values()) {
                for (int m : ROWS) {
                    for (int n : OUTPUTS) {
                        shapes.add(new Shape(type, order, m, n, INPUTS[random.nextInt(INPUTS.length)]));
                    }
                }
            }
        }
        return shapes.stream();
    }

    @Test
    void eachOutputIsOneAscendingFmaChainHoweverTheOutputsAreSplit() {
        shapes().forEach(shape -> {
            try (Arena arena = Arena.ofConfined()) {
                Problem problem =
                        Problem.random(arena, shape.type, shape.order, shape.m, shape.n, shape.k, shape.hashCode());
                for (int parts = 1; parts <= 3; parts++) {
                    assertThat(Arrays.equals(bits(problem.run(parts)), bits(problem.wanted)))
                            .as("%s in %d parts, seed %d", shape, parts, shape.hashCode())
                            .isTrue();
                    assertThat(problem.guardsIntact()).as("guards of %s", shape).isTrue();
                }
            }
        });
    }

    static Stream<Shape> measured() {
        return TYPES.stream().flatMap(type -> Stream.of(Order.values())
                .flatMap(order -> Stream.of(2, 5, 8, 13).map(m -> new Shape(type, order, m, 83, 270))));
    }

    /** Judged in JVMs of its own: docs/decisions/0010. */
    @Tag("allocation")
    @ParameterizedTest
    @MethodSource("measured")
    void allocatesNothingOnceCompiled(Shape shape) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (Arena arena = Arena.ofConfined()) {
            Problem problem = Problem.random(arena, shape.type, shape.order, shape.m, shape.n, shape.k, 1);
            long deadline = System.nanoTime() + 20_000_000_000L;
            long allocated;
            do {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int call = 0; call < 200; call++) {
                    problem.part(0, 1);
                }
                allocated = threads.getCurrentThreadAllocatedBytes() - before;
            } while (allocated > 0 && System.nanoTime() < deadline);
            assertThat(allocated)
                    .as("bytes allocated by 200 calls of %s", shape)
                    .isZero();
        }
    }

    private static int[] bits(float[] values) {
        int[] bits = new int[values.length];
        for (int i = 0; i < values.length; i++) {
            bits[i] = Float.floatToIntBits(values[i]);
        }
        return bits;
    }
}
