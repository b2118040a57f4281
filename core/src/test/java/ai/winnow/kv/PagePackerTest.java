package ai.winnow.kv;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The rule of pruning and the order of packed numbers, by worked examples. */
class PagePackerTest {

    @Test
    void theWorkedExampleKeepsFiveOfEight() {
        KvShape shape = new KvShape(1, 1, 8, 1, 64, DType.F32);
        KvPacking packing = new KvPacking(0.5f, 0.5f, 0, 64);
        assertThat(KvPacking.threshold(0.5f, 8)).isEqualTo(4);
        float[] row = {0.1f, -0.9f, 0.3f, 0.05f, -0.4f, 0.7f, -0.2f, 0.6f};
        float[] rows = unpacked(shape, packing, row);
        assertThat(Arrays.copyOf(rows, 8)).containsExactly(0, -0.9f, 0.3f, 0, -0.4f, 0.7f, 0, 0.6f);
    }

    @Test
    void keptNumbersAreCountedAsPublished() {
        assertThat(KvPacking.kept(0.5f, 128)).isEqualTo(65);
        assertThat(KvPacking.kept(0.7f, 128)).isEqualTo(40);
        assertThat(KvPacking.kept(0f, 128)).isEqualTo(128);
    }

    @Test
    void notANumberIsKept() {
        KvShape shape = new KvShape(1, 1, 4, 1, 64, DType.F32);
        float[] row = {1, Float.NaN, 3, -2};
        float[] rows = unpacked(shape, new KvPacking(0.75f, 0.75f, 0, 64), row);
        assertThat(Arrays.copyOf(rows, 4)).containsExactly(0, Float.NaN, 3, 0);
    }

    /** Keys and values of all 64 rows of a page, packed and read again; they must be the same. */
    private static float[] unpacked(KvShape shape, KvPacking packing, float[] row) {
        PackedFormat format = new PackedFormat(shape, packing);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(shape.pageBytes());
            MemorySegment packed = arena.allocate(format.bytes());
            for (int i = 0; i < 64; i++) {
                shape.put(page, 0, i, MemorySegment.ofArray(row), 0);
            }
            assertThat(new PagePacker(format).pack(page, page, 0, packed, 0)).isTrue();
            float[] keys = new float[64 * row.length];
            float[] values = new float[64 * row.length];
            format.readKeys(packed, 0, keys);
            format.readValues(packed, 0, values);
            assertThat(keys).containsExactly(values);
            return keys;
        }
    }

    /** The worked example has its highest bit first; here the lowest is element 0. */
    @Test
    void theMaskOfElements0And3And63() {
        KvShape shape = new KvShape(1, 1, 64, 1, 64, DType.F32);
        PackedFormat format = new PackedFormat(shape, new KvPacking(0.9f, 0.9f, 0, 64));
        float[] row = new float[64];
        for (int element : new int[] {0, 3, 63}) {
            row[element] = 1;
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(shape.pageBytes());
            MemorySegment packed = arena.allocate(format.bytes());
            for (int i = 0; i < 64; i++) {
                shape.put(page, 0, i, MemorySegment.ofArray(row), 0);
            }
            assertThat(new PagePacker(format).pack(page, page, 0, packed, 0)).isTrue();
            long mask = packed.get(ValueLayout.JAVA_LONG, format.valueMask(0, 5));
            assertThat(Long.reverse(mask)).isEqualTo(0x9000000000000001L);
            Set<Long> channels = new HashSet<>();
            for (int channel = 0; channel < 64; channel++) {
                channels.add(packed.get(ValueLayout.JAVA_LONG, format.keyMask(channel)));
            }
            assertThat(channels).containsExactlyInAnyOrder(0L, -1L);
        }
    }
}
