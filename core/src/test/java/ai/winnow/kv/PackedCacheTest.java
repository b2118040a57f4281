package ai.winnow.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.BackendException;
import ai.winnow.ShapeException;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedFormat;
import ai.winnow.tensor.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PackedCacheTest {

    private static final int WIDTH = 20;
    private static final KvShape SHAPE = new KvShape(2, 2, WIDTH, 4, 600, DType.F32);
    private static final KvPacking PACKING = new KvPacking(0.5f, 0.7f, 32, 128);
    private static final long ALL = Long.MAX_VALUE;

    /** Plain lists of the rows that each head of a sequence must hold, and how many of them were looked at for packing. */
    private static final class Rows {
        private final List<List<float[]>> keys = new ArrayList<>();
        private final List<List<float[]>> values = new ArrayList<>();
        private int packed;

        Rows() {
            for (int head = 0; head < SHAPE.layers() * SHAPE.heads(); head++) {
                keys.add(new ArrayList<>());
                values.add(new ArrayList<>());
            }
        }

        Rows(Rows other) {
            other.keys.forEach(rows -> keys.add(new ArrayList<>(rows)));
            other.values.forEach(rows -> values.add(new ArrayList<>(rows)));
            packed = other.packed;
        }

        int length() {
            return keys.getFirst().size();
        }

        void truncate(int length) {
            keys.forEach(rows -> rows.subList(length, rows.size()).clear());
            values.forEach(rows -> rows.subList(length, rows.size()).clear());
            packed = Math.min(packed, length / 64 * 64);
        }

        void pack(DType type) {
            int end = Math.max(packed, Math.max(0, length() - 32) / 128 * 128);
            for (int page = packed; page < end; page += 64) {
                for (int head = 0; head < keys.size(); head++) {
                    List<float[]> k = pruned(keys.get(head).subList(page, page + 64), 10);
                    List<float[]> v = pruned(values.get(head).subList(page, page + 64), 14);
                    int ties = type == DType.BF16 ? 64 : 0;
                    if (count(k) <= 64 * 11 + ties && count(v) <= 64 * 7 + ties) {
                        for (int row = 0; row < 64; row++) {
                            keys.get(head).set(page + row, k.get(row));
                            values.get(head).set(page + row, v.get(row));
                        }
                    }
                }
            }
            packed = end;
        }

        /** @param rank of the magnitude from which on numbers are kept */
        private static List<float[]> pruned(List<float[]> rows, int rank) {
            List<float[]> result = new ArrayList<>();
            for (float[] row : rows) {
                float[] magnitudes = row.clone();
                for (int d = 0; d < WIDTH; d++) {
                    magnitudes[d] = Math.abs(magnitudes[d]);
                }
                Arrays.sort(magnitudes);
                float[] kept = row.clone();
                for (int d = 0; d < WIDTH; d++) {
                    kept[d] = Math.abs(row[d]) >= magnitudes[rank - 1] ? row[d] : 0;
                }
                result.add(kept);
            }
            return result;
        }

        private static long count(List<float[]> rows) {
            return rows.stream().mapToLong(Rows::count).sum();
        }

        private static long count(float[] row) {
            long count = 0;
            for (float x : row) {
                count += x != 0 ? 1 : 0;
            }
            return count;
        }
    }

    @ParameterizedTest
    @CsvSource({"1, F32", "2, F32", "3, BF16", "4, BF16"})
    void anySequenceOfOperationsLeavesWhatListsOfPrunedRowsHold(long seed, DType type) {
        Random random = new Random(seed);
        KvShape shape = shape(type);
        try (KvCache cache = new KvCache(shape, List.of(), PACKING, ALL)) {
            int allPages = cache.freePages();
            Map<Integer, Rows> model = new TreeMap<>();
            for (int step = 0; step < 250; step++) {
                int action = random.nextInt(14);
                List<Integer> open = List.copyOf(model.keySet());
                if (open.isEmpty() || (action == 0 && open.size() < shape.slots())) {
                    model.put(cache.open(), new Rows());
                    continue;
                }
                int slot = open.get(random.nextInt(open.size()));
                Rows rows = Objects.requireNonNull(model.get(slot));
                switch (action) {
                    case 1 -> {
                        cache.close(slot);
                        model.remove(slot);
                    }
                    case 2, 3 -> {
                        int length = rows.length() - random.nextInt(Math.min(rows.length() + 1, 200));
                        cache.truncate(slot, length);
                        rows.truncate(length);
                    }
                    case 4 -> {
                        if (open.size() < shape.slots()) {
                            model.put(cache.fork(slot), new Rows(rows));
                        }
                    }
                    default -> append(cache, slot, rows, 1 + random.nextInt(150), action == 5, action > 11, random);
                }
                model.forEach((each, expected) -> assertHolds(cache, each, expected, seed));
            }
            List.copyOf(model.keySet()).forEach(cache::close);
            assertThat(cache.freePages()).as("seed %d", seed).isEqualTo(allPages);
        }
    }

    private static KvShape shape(DType type) {
        return new KvShape(SHAPE.layers(), SHAPE.heads(), WIDTH, SHAPE.slots(), SHAPE.contextLength(), type);
    }

    private static void append(KvCache cache, int slot, Rows rows, int count, boolean fails, Random random) {
        append(cache, slot, rows, count, fails, false, random);
    }

    /** @param equal whether all numbers of a row are: such rows do not become smaller */
    private static void append(
            KvCache cache, int slot, Rows rows, int count, boolean fails, boolean equal, Random random) {
        int before = rows.length();
        if (before + count > SHAPE.contextLength()) {
            return;
        }
        cache.reserve(new int[] {slot}, new int[] {count});
        for (int i = 0; i < count; i++) {
            for (int head = 0; head < rows.keys.size(); head++) {
                float[] key = numbers(random, equal, cache.shape().dtype());
                float[] value = numbers(random, equal, cache.shape().dtype());
                put(cache, slot, head, before + i, key, value);
                if (!fails) {
                    rows.keys.get(head).add(key);
                    rows.values.get(head).add(value);
                }
            }
        }
        if (fails) {
            cache.truncate(slot, before);
        } else {
            cache.advance(slot, count);
            cache.pack(slot);
            rows.pack(cache.shape().dtype());
        }
    }

    private static float[] numbers(Random random, boolean equal, DType type) {
        float[] numbers = new float[WIDTH];
        MemorySegment one = Arena.ofAuto().allocate(4);
        for (int d = 0; d < WIDTH; d++) {
            type.setFloat(one, 0, equal ? -1 : (float) random.nextGaussian());
            numbers[d] = type.getFloat(one, 0);
        }
        return numbers;
    }

    private static void put(KvCache cache, int slot, int head, int row, float[] key, float[] value) {
        int page = entry(cache, slot, head, row / 64);
        cache.shape().put(cache.keys().segment(), page, row % 64, MemorySegment.ofArray(key), 0);
        cache.shape().put(cache.values().segment(), page, row % 64, MemorySegment.ofArray(value), 0);
    }

    private static int entry(KvCache cache, int slot, int head, int page) {
        KvShape shape = cache.shape();
        long first = shape.tableIndex(slot, head / shape.heads(), head % shape.heads());
        return cache.table().segment().getAtIndex(ValueLayout.JAVA_INT, first + page);
    }

    private static void assertHolds(KvCache cache, int slot, Rows expected, long seed) {
        KvShape shape = cache.shape();
        PackedFormat format = new PackedFormat(shape, PACKING);
        float[] keys = new float[64 * WIDTH];
        float[] values = new float[64 * WIDTH];
        for (int head = 0; head < expected.keys.size(); head++) {
            for (int row = 0; row < expected.length(); row++) {
                int page = entry(cache, slot, head, row / 64);
                if (page < 0 && row % 64 == 0) {
                    MemorySegment pool = cache.packedPages().segment();
                    format.readKeys(pool, PackedFormat.entry(page), keys);
                    format.readValues(pool, PackedFormat.entry(page), values);
                }
                for (int d = 0; d < WIDTH; d++) {
                    float key = page < 0
                            ? keys[row % 64 * WIDTH + d]
                            : shape.get(cache.keys().segment(), page, row % 64, d);
                    float value = page < 0
                            ? values[row % 64 * WIDTH + d]
                            : shape.get(cache.values().segment(), page, row % 64, d);
                    if (key != expected.keys.get(head).get(row)[d]
                            || value != expected.values.get(head).get(row)[d]) {
                        throw new AssertionError("seed " + seed + ": number " + d + " of row " + row + " of head "
                                + head + " of slot " + slot + " is " + key + " and " + value);
                    }
                }
            }
        }
    }

    /** As published: the packed part is a multiple of the unit, and the tail from residual to residual + unit. */
    @ParameterizedTest
    @CsvSource({"0", "31", "159", "160", "161", "400"})
    void theTailStaysBetweenItsBounds(int prompt) {
        try (KvCache cache = new KvCache(SHAPE, List.of(), PACKING, ALL)) {
            int slot = cache.open();
            Rows rows = new Rows();
            append(cache, slot, rows, prompt, false, new Random(7));
            for (int length = prompt; length < 600; length++) {
                int packed = packedPages(cache, slot) * 64;
                assertThat(packed).isEqualTo(Math.max(0, (length - 32) / 128 * 128));
                append(cache, slot, rows, 1, false, new Random(length + 3));
            }
        }
    }

    private static int packedPages(KvCache cache, int slot) {
        int packed = 0;
        while (packed < 9 && entry(cache, slot, 1, packed) < 0) {
            packed++;
        }
        return packed;
    }

    @Test
    void packingGivesBytesBackAndForksShareThem() {
        try (KvCache cache = new KvCache(SHAPE, List.of(), PACKING, 100 * 2 * SHAPE.pageBytes())) {
            int slot = cache.open();
            Rows rows = new Rows();
            append(cache, slot, rows, 159, false, new Random(1));
            assertThat(cache.freePages()).isEqualTo(100 - 4 * 3);
            append(cache, slot, rows, 1, false, new Random(2));
            double packedBytes = 4 * 2 * new PackedFormat(SHAPE, PACKING).bytes();
            int free = (int) Math.floor(100 - 4 - packedBytes / (2 * SHAPE.pageBytes()));
            assertThat(cache.freePages()).isEqualTo(free);
            int fork = cache.fork(slot);
            assertThat(cache.freePages()).isEqualTo(free);
            cache.close(slot);
            assertThat(cache.freePages()).isEqualTo(free);
            assertHolds(cache, fork, rows, 1);
            cache.close(fork);
            assertThat(cache.freePages()).isEqualTo(100);
        }
    }

    /** Going on in the middle of a packed page takes a page for its rows, or is refused and changes nothing. */
    @Test
    void goingOnInAPackedPageUnpacksIt() {
        try (KvCache cache = new KvCache(SHAPE, List.of(), PACKING, 12 * 2 * SHAPE.pageBytes())) {
            int slot = cache.open();
            Rows rows = new Rows();
            append(cache, slot, rows, 160, false, new Random(1));
            cache.truncate(slot, 100);
            rows.truncate(100);
            assertThat(entry(cache, slot, 0, 1)).isNegative();
            int other = cache.open();
            cache.reserve(new int[] {other}, new int[] {cache.freePages() / 4 * 64});
            int free = cache.freePages();
            assertThat(free).isLessThan(4);
            assertThatThrownBy(() -> cache.reserve(new int[] {slot}, new int[] {1}))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("pages left");
            assertThat(cache.freePages()).isEqualTo(free);
            assertHolds(cache, slot, rows, 1);
            cache.close(other);
            append(cache, slot, rows, 1, false, new Random(3));
            assertThat(entry(cache, slot, 0, 1)).isNotNegative();
            assertHolds(cache, slot, rows, 1);
        }
    }

    @Test
    void aPageWhoseMagnitudesAreEqualStaysAsItIs() {
        KvPacking packing = new KvPacking(0.5f, 0.5f, 0, 64);
        try (KvCache cache = new KvCache(SHAPE, List.of(), packing, ALL)) {
            int slot = cache.open();
            cache.reserve(new int[] {slot}, new int[] {128});
            float[] equal = new float[WIDTH];
            Arrays.fill(equal, -1);
            float[] zero = new float[WIDTH];
            Arrays.fill(zero, -0f);
            for (int head = 0; head < 4; head++) {
                for (int row = 0; row < 128; row++) {
                    put(cache, slot, head, row, row < 64 ? equal : zero, zero);
                }
            }
            cache.advance(slot, 128);
            cache.pack(slot);
            assertThat(entry(cache, slot, 0, 0)).isNotNegative();
            assertThat(entry(cache, slot, 0, 1)).isNegative();
        }
    }

    /** A page that a fork keeps needs bytes beside it, and waits for them. */
    @Test
    void aSharedPageIsPackedWhenThereIsRoom() {
        try (KvCache cache = new KvCache(SHAPE, List.of(), PACKING, 16 * 2 * SHAPE.pageBytes())) {
            int slot = cache.open();
            Rows rows = new Rows();
            append(cache, slot, rows, 159, false, new Random(1));
            int fork = cache.fork(slot);
            cache.reserve(new int[] {slot}, new int[] {1});
            for (int head = 0; head < 4; head++) {
                put(cache, slot, head, 159, new float[WIDTH], new float[WIDTH]);
            }
            cache.advance(slot, 1);
            assertThat(cache.freePages()).isZero();
            cache.pack(slot);
            assertThat(packedPages(cache, slot)).isZero();
            cache.close(fork);
            cache.pack(slot);
            assertThat(packedPages(cache, slot)).isEqualTo(2);
        }
    }

    /** The last who has a page that others have packed may have written to it since, and packs it once more. */
    @Test
    void forksThatPackTheSamePageSharePackedOnes() {
        try (KvCache cache = new KvCache(SHAPE, List.of(), PACKING, 200 * 2 * SHAPE.pageBytes())) {
            List<Integer> slots = new ArrayList<>(List.of(cache.open()));
            List<Rows> rows = new ArrayList<>(List.of(new Rows()));
            append(cache, slots.getFirst(), rows.getFirst(), 128, false, new Random(1));
            for (int i = 1; i < SHAPE.slots(); i++) {
                slots.add(cache.fork(slots.getFirst()));
                rows.add(new Rows(rows.getFirst()));
            }
            for (int i = 0; i < slots.size(); i++) {
                append(cache, slots.get(i), rows.get(i), 32, false, new Random(i));
            }
            assertThat(slots.stream().map(slot -> entry(cache, slot, 0, 0)).distinct())
                    .hasSize(2)
                    .allMatch(entry -> entry < 0);
            for (int i = 0; i < slots.size(); i++) {
                assertHolds(cache, slots.get(i), rows.get(i), 1);
                cache.close(slots.get(i));
            }
            assertThat(cache.freePages()).isEqualTo(SHAPE.slots() * 4 * SHAPE.pagesPerHead());
        }
    }

    @Test
    void whatCannotBePackedIsRefused() {
        KvPlane plane = new KvPlane("labels", DType.F32, 3, 1);
        assertThatThrownBy(() -> new KvCache(SHAPE, List.of(plane), PACKING, ALL))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("labels");
        assertThatThrownBy(() -> new KvCache(shape(DType.I8), List.of(), PACKING, ALL))
                .isInstanceOf(ShapeException.class)
                .hasMessageContaining("the scale of its row");
        try (KvCache cache = new KvCache(SHAPE, List.of(), PACKING, ALL)) {
            int slot = cache.open();
            append(cache, slot, new Rows(), 160, false, new Random(1));
            assertThatThrownBy(() -> cache.retain(List.of(new KvCache.Kept(slot, 0, 0, new int[] {1}, 1))))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("packed rows do not move");
        }
    }
}
