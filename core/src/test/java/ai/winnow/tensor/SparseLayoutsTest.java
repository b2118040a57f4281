package ai.winnow.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.ArtefactException;
import ai.winnow.ShapeException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class SparseLayoutsTest {

    private static final List<DType> TYPES = List.of(DType.F32, DType.BF16, DType.F16);

    /** A share of {@code density} is not zero; zeros are of either sign, other numbers exact in every type. */
    private static Tensor random(
            Arena arena, DType type, int rows, int columns, double density, SplittableRandom random) {
        Tensor tensor = Tensor.allocate(arena, type, rows, columns);
        for (int i = 0; i < rows * columns; i++) {
            float value = (1 + random.nextInt(8) / 8f) * (random.nextBoolean() ? 1 : -1);
            type.setFloat(tensor.segment(), i, random.nextDouble() < density ? value : random.nextBoolean() ? 0f : -0f);
        }
        return tensor;
    }

    private static long nonZeros(Tensor dense) {
        long count = 0;
        for (long i = 0; i < dense.shape().maxElements(); i++) {
            count += dense.getFloat(i) != 0 ? 1 : 0;
        }
        return count;
    }

    private static long blocks(Tensor dense) {
        long count = 0;
        long columns = dense.shape().max(1);
        for (long panel = 0; panel < (dense.shape().max(0) + 15) / 16; panel++) {
            for (long column = 0; column < columns; column++) {
                boolean any = false;
                for (long row = 16 * panel;
                        row < Math.min(16 * panel + 16, dense.shape().max(0));
                        row++) {
                    any |= dense.getFloat(row * columns + column) != 0;
                }
                count += any ? 1 : 0;
            }
        }
        return count;
    }

    private static List<Layout.Sparse> exact(Tensor dense) {
        return List.of(
                new BitmaskPanel16(nonZeros(dense)),
                new BlockSparse16x1(blocks(dense)),
                new CompressedRows(nonZeros(dense)));
    }

    private static Tensor compressed(Layout.Sparse layout, Tensor dense, DType type, Arena arena) {
        Tensor packed = Tensor.allocate(arena, dense.spec().withDType(type), layout);
        layout.compress("w", dense, packed);
        return packed;
    }

    @Property(tries = 150)
    void whatWasCompressedComesBackBitForBitButForTheSignOfZero(
            @ForAll @IntRange(min = 1, max = 70) int rows,
            @ForAll @IntRange(min = 1, max = 70) int columns,
            @ForAll @DoubleRange(min = 0, max = 1) double density,
            @ForAll long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        double share = random.nextInt(5) == 0 ? Math.round(density) : density; // all zeros, all ones
        for (DType type : TYPES) {
            try (Arena arena = Arena.ofShared()) {
                Tensor dense = random(arena, type, rows, columns, share, random);
                for (Layout.Sparse layout : exact(dense)) {
                    Tensor back = layout.decompress(compressed(layout, dense, type, arena), arena);
                    assertThat(back.spec()).isEqualTo(dense.spec());
                    for (long i = 0; i < (long) rows * columns; i++) {
                        float expected = dense.getFloat(i) == 0 ? 0 : dense.getFloat(i); // -0 becomes +0
                        assertThat(Float.floatToRawIntBits(back.getFloat(i)))
                                .as("%s %s at %d", type, layout, i)
                                .isEqualTo(Float.floatToRawIntBits(expected));
                    }
                }
            }
        }
    }

    @Property(tries = 60)
    void startsCountWhatLiesBeforeAndAFullVectorFitsBehindTheLastValue(
            @ForAll @IntRange(min = 1, max = 50) int rows,
            @ForAll @IntRange(min = 1, max = 40) int columns,
            @ForAll long seed) {
        try (Arena arena = Arena.ofShared()) {
            Tensor dense = random(arena, DType.F32, rows, columns, 0.4, new SplittableRandom(seed));
            BitmaskPanel16 layout = new BitmaskPanel16(nonZeros(dense));
            Tensor packed = compressed(layout, dense, DType.F32, arena);
            TensorSpec spec = packed.spec();
            MemorySegment memory = packed.segment();
            for (int panel = 0; panel < BitmaskPanel16.panels(spec); panel++) {
                long bits = 0;
                for (long at = 0; at < BitmaskPanel16.maskPitch(spec); at += 2) {
                    long mask = BitmaskPanel16.masksAt(spec) + panel * BitmaskPanel16.maskPitch(spec) + at;
                    bits += Integer.bitCount(memory.get(ValueLayout.JAVA_SHORT_UNALIGNED, mask) & 0xffff);
                }
                assertThat(start(memory, panel + 1) - start(memory, panel)).isEqualTo(bits);
            }
            long last = start(memory, BitmaskPanel16.panels(spec));
            assertThat(last).isEqualTo(layout.nonZeros());
            assertThat(BitmaskPanel16.valuesAt(spec) + 4 * last + 64).isLessThanOrEqualTo(memory.byteSize());
        }
    }

    private static long start(MemorySegment memory, int panel) {
        return memory.get(ValueLayout.JAVA_LONG_UNALIGNED, BitmaskPanel16.startAt(panel));
    }

    @Test
    void roomForMoreThanThereIsChangesNothing() {
        try (Arena arena = Arena.ofShared()) {
            Tensor dense = random(arena, DType.F32, 33, 17, 0.3, new SplittableRandom(1));
            for (Layout.Sparse layout :
                    List.of(new BitmaskPanel16(500), new BlockSparse16x1(51), new CompressedRows(500))) {
                Tensor back = layout.decompress(compressed(layout, dense, DType.F32, arena), arena);
                assertThat(back.toFloats()).containsExactly(nullSigns(dense));
            }
        }
    }

    private static float[] nullSigns(Tensor dense) {
        float[] values = dense.toFloats();
        for (int i = 0; i < values.length; i++) {
            values[i] = values[i] == 0 ? 0 : values[i];
        }
        return values;
    }

    @Test
    void moreThanThereIsRoomForIsRefusedByNameRowAndColumn() {
        try (Arena arena = Arena.ofShared()) {
            float[] values = new float[20 * 5];
            values[5 * 2 + 1] = 1;
            values[5 * 3 + 4] = 2;
            values[5 * 17 + 3] = 3;
            Tensor dense = Tensor.copyOf(arena, values, 20, 5);
            for (Layout.Sparse layout : List.of(new BitmaskPanel16(2), new BlockSparse16x1(2), new CompressedRows(2))) {
                Tensor packed = Tensor.allocate(arena, dense.spec(), layout);
                assertThatThrownBy(() -> layout.compress("model.w", dense, packed))
                        .as("%s", layout)
                        .isInstanceOf(ArtefactException.class)
                        .hasMessageContaining("'model.w'")
                        .hasMessageContaining("at most 2 ")
                        .hasMessageContaining("row 17, column 3");
            }
        }
    }

    @Test
    void whatIsNotFiniteIsRefusedByNameRowAndColumn() {
        try (Arena arena = Arena.ofShared()) {
            for (float bad : new float[] {Float.NaN, Float.NEGATIVE_INFINITY}) {
                Tensor dense = random(arena, DType.F32, 40, 9, 0.5, new SplittableRandom(2));
                DType.F32.setFloat(dense.segment(), 37 * 9 + 8, bad);
                for (Layout.Sparse layout :
                        List.of(new BitmaskPanel16(360), new BlockSparse16x1(27), new CompressedRows(360))) {
                    Tensor packed = Tensor.allocate(arena, dense.spec(), layout);
                    assertThatThrownBy(() -> layout.compress("model.w", dense, packed))
                            .isInstanceOf(ArtefactException.class)
                            .hasMessageContaining("'model.w' holds NaN or infinity at row 37, column 8");
                }
            }
        }
    }

    @Test
    void layoutsOfShortColumnsRefuseMoreThanTheyCanName() {
        TensorSpec wide = TensorSpec.of(DType.F32, 1, 65537);
        assertThatThrownBy(() -> new CompressedRows(1).bytes(wide)).isInstanceOf(ShapeException.class);
        assertThatThrownBy(() -> new BlockSparse16x1(1).bytes(wide)).isInstanceOf(ShapeException.class);
        assertThat(new CompressedRows(1).bytes(TensorSpec.of(DType.F32, 1, 65536)))
                .isPositive();
    }

    @Test
    void theLastOfAllColumnsThat16BitsNameComesBack() {
        try (Arena arena = Arena.ofShared()) {
            Tensor dense = Tensor.allocate(arena, DType.F32, 1, 65536);
            DType.F32.setFloat(dense.segment(), 65535, 7);
            for (Layout.Sparse layout : List.of(new BitmaskPanel16(1), new BlockSparse16x1(1), new CompressedRows(1))) {
                Tensor back = layout.decompress(compressed(layout, dense, DType.F32, arena), arena);
                assertThat(back.getFloat(65535)).isEqualTo(7);
            }
        }
    }
}
