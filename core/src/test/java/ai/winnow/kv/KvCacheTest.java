package ai.winnow.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.BackendException;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KvCacheTest {

    private static final KvShape SHAPE = new KvShape(2, 3, 4, 5, 300, DType.F32);
    private static final long ALL = Long.MAX_VALUE;

    private static final KvPlane PLANE = new KvPlane("labels", DType.F32, 3, 1);

    /** What a head of a sequence must hold: for each row its position and the number it was written with. */
    private record Row(int position, int number) {}

    /** A plain list of rows for each head. */
    private static final class Rows {
        private int positions;
        private final List<List<Row>> heads = new ArrayList<>();

        Rows() {
            for (int head = 0; head < SHAPE.layers() * SHAPE.heads(); head++) {
                heads.add(new ArrayList<>());
            }
        }

        Rows(Rows other) {
            positions = other.positions;
            other.heads.forEach(rows -> heads.add(new ArrayList<>(rows)));
        }

        void truncate(int length) {
            heads.forEach(rows -> rows.removeIf(row -> row.position >= length));
            positions = length;
        }
    }

    @ParameterizedTest
    @CsvSource({"1, F32", "2, F32", "3, F32", "4, BF16", "5, I8", "6, I8"})
    void anySequenceOfOperationsLeavesWhatListsOfRowsHold(long seed, DType type) {
        Random random = new Random(seed);
        KvShape shape =
                new KvShape(SHAPE.layers(), SHAPE.heads(), SHAPE.headDim(), SHAPE.slots(), SHAPE.contextLength(), type);
        try (KvCache cache = new KvCache(shape, List.of(PLANE), ALL)) {
            int allPages = cache.freePages();
            Map<Integer, Rows> model = new TreeMap<>();
            int next = 1;
            for (int step = 0; step < 500; step++) {
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
                    case 2 -> {
                        int length = random.nextInt(rows.positions + 1);
                        cache.truncate(slot, length);
                        rows.truncate(length);
                    }
                    case 3, 4 -> {
                        if (open.size() < shape.slots()) {
                            model.put(cache.fork(slot), new Rows(rows));
                        } else {
                            assertThatThrownBy(() -> cache.fork(slot)).isInstanceOf(BackendException.class);
                        }
                    }
                    case 5, 6 -> {
                        int head = random.nextInt(rows.heads.size());
                        double share = random.nextDouble();
                        int[] kept = IntStream.range(0, rows.heads.get(head).size())
                                .filter(row -> random.nextDouble() < share)
                                .toArray();
                        cache.retain(List.of(
                                new KvCache.Kept(slot, head / shape.heads(), head % shape.heads(), kept, kept.length)));
                        List<Row> all = List.copyOf(rows.heads.get(head));
                        rows.heads.set(head, new ArrayList<>());
                        for (int row : kept) {
                            rows.heads.get(head).add(all.get(row));
                        }
                    }
                    default -> next = append(cache, slot, rows, 1 + random.nextInt(70), action == 7, next);
                }
                model.forEach((each, expected) -> assertHolds(cache, each, expected, seed));
                assertNoPageIsLost(cache, model, allPages);
            }
        }
    }

    /** @param fails whether the step is given up after its rows were written */
    private static int append(KvCache cache, int slot, Rows rows, int count, boolean fails, int next) {
        if (rows.positions + count > cache.shape().contextLength()) {
            assertThatThrownBy(() -> cache.reserve(new int[] {slot}, new int[] {count}))
                    .isInstanceOf(BackendException.class);
            return next;
        }
        cache.reserve(new int[] {slot}, new int[] {count});
        for (int i = 0; i < count; i++) {
            for (int head = 0; head < rows.heads.size(); head++) {
                List<Row> held = rows.heads.get(head);
                write(cache, slot, head, held.size() + (fails ? i : 0), next + i);
                if (!fails) {
                    held.add(new Row(rows.positions + i, next + i));
                }
            }
        }
        if (fails) {
            cache.truncate(slot, rows.positions);
        } else {
            cache.advance(slot, count);
            rows.positions += count;
        }
        return next + count;
    }

    private static void write(KvCache cache, int slot, int head, int row, int number) {
        KvShape shape = cache.shape();
        int page = page(cache, slot, head, row);
        int at = row % KvShape.PAGE_ROWS;
        MemorySegment key = MemorySegment.ofArray(key(number, head));
        shape.put(cache.keys().segment(), page, at, key, 0);
        shape.put(cache.values().segment(), page, at, MemorySegment.ofArray(value(number, head)), 0);
        for (int j = 0; j < PLANE.width(); j++) {
            DType.F32.setFloat(cache.plane(PLANE).segment(), PLANE.at(page, j, at), number + 0.25f * j);
        }
    }

    private static float[] key(int number, int head) {
        int high = number / 127;
        return new float[] {number % 127, high, head, 127};
    }

    private static float[] value(int number, int head) {
        int high = number / 127;
        return new float[] {-high, 127, -(number % 127), -head};
    }

    private static int page(KvCache cache, int slot, int head, int row) {
        KvShape shape = cache.shape();
        long entry = shape.tableIndex(slot, head / shape.heads(), head % shape.heads()) + row / KvShape.PAGE_ROWS;
        return cache.table().segment().getAtIndex(ValueLayout.JAVA_INT, entry);
    }

    private static void assertHolds(KvCache cache, int slot, Rows expected, long seed) {
        KvShape shape = cache.shape();
        assertThat(cache.length(slot)).as("seed %d", seed).isEqualTo(expected.positions);
        for (int head = 0; head < expected.heads.size(); head++) {
            List<Row> rows = expected.heads.get(head);
            int index = shape.headIndex(slot, head / shape.heads(), head % shape.heads());
            assertThat(cache.lengths().segment().getAtIndex(ValueLayout.JAVA_INT, index))
                    .isEqualTo(rows.size());
            for (int row = 0; row < rows.size(); row++) {
                int page = page(cache, slot, head, row);
                int at = row % KvShape.PAGE_ROWS;
                int number = rows.get(row).number;
                boolean right =
                        cache.position(slot, head / shape.heads(), head % shape.heads(), row) == rows.get(row).position;
                for (int d = 0; d < shape.headDim(); d++) {
                    right &= shape.get(cache.keys().segment(), page, at, d) == key(number, head)[d];
                    right &= shape.get(cache.values().segment(), page, at, d) == value(number, head)[d];
                }
                for (int j = 0; j < PLANE.width(); j++) {
                    float held = DType.F32.getFloat(cache.plane(PLANE).segment(), PLANE.at(page, j, at));
                    right &= held == number + 0.25f * j;
                }
                if (!right) {
                    throw new AssertionError("seed " + seed + ": row " + row + " of head " + head + " of slot " + slot
                            + " does not hold " + rows.get(row));
                }
            }
        }
    }

    private static void assertNoPageIsLost(KvCache cache, Map<Integer, Rows> model, int allPages) {
        Set<Integer> held = new HashSet<>();
        model.forEach((slot, rows) -> {
            for (int head = 0; head < rows.heads.size(); head++) {
                for (int row = 0; row < rows.heads.get(head).size(); row += KvShape.PAGE_ROWS) {
                    held.add(page(cache, slot, head, row));
                }
            }
        });
        assertThat(cache.freePages()).isEqualTo(allPages - held.size());
    }

    @Test
    void aForkTakesNoPagesUntilItIsWrittenTo() {
        try (KvCache cache = new KvCache(SHAPE, ALL)) {
            int slot = cache.open();
            cache.reserve(new int[] {slot}, new int[] {100});
            cache.advance(slot, 100);
            int free = cache.freePages();
            int fork = cache.fork(slot);
            assertThat(cache.freePages()).isEqualTo(free);
            cache.reserve(new int[] {fork}, new int[] {1});
            assertThat(cache.freePages())
                    .isEqualTo(free - SHAPE.layers() * SHAPE.heads()); // the last page of each head
            cache.close(slot);
            cache.close(fork);
            assertThat(cache.freePages()).isEqualTo(SHAPE.slots() * SHAPE.layers() * SHAPE.heads() * 5);
        }
    }

    /** One of two that write to a page needs a copy, the other may keep it. */
    @Test
    void forksOfOneStepNeedAPageLessThanTheyAre() {
        long budget = 2 * SHAPE.pageBytes() * SHAPE.layers() * SHAPE.heads() * 3;
        try (KvCache cache = new KvCache(SHAPE, budget)) {
            int slot = cache.open();
            cache.reserve(new int[] {slot}, new int[] {100});
            cache.advance(slot, 100);
            int fork = cache.fork(slot);
            cache.reserve(new int[] {slot, fork}, new int[] {1, 1});
            assertThat(cache.freePages()).isZero();
            cache.advance(slot, 1);
            cache.advance(fork, 1);
            int another = cache.fork(fork);
            assertThatThrownBy(() -> cache.reserve(new int[] {another}, new int[] {1}))
                    .isInstanceOf(BackendException.class);
        }
    }

    @Test
    void rowsThatAreDroppedGiveTheirPagesBack() {
        try (KvCache cache = new KvCache(SHAPE, ALL)) {
            int slot = cache.open();
            cache.reserve(new int[] {slot}, new int[] {300});
            cache.advance(slot, 300);
            int free = cache.freePages();
            retain(cache, slot, 1, 2, IntStream.range(100, 164).toArray());
            assertThat(cache.freePages()).isEqualTo(free + 4);
            assertThat(cache.position(slot, 1, 2, 5)).isEqualTo(105);
            assertThatThrownBy(() -> retain(cache, slot, 1, 2, new int[] {3, 3}))
                    .hasMessageContaining("must ascend");
            assertThatThrownBy(() -> retain(cache, slot, 1, 2, new int[] {64})).hasMessageContaining("from 0 to 63");
        }
    }

    @Test
    void headsDropTheirRowsTogetherOrNotAtAll() {
        long pages = (long) SHAPE.layers() * SHAPE.heads() * 2 + 1;
        try (KvCache cache = new KvCache(SHAPE, 2 * SHAPE.pageBytes() * pages)) {
            int slot = cache.open();
            cache.reserve(new int[] {slot}, new int[] {128});
            cache.advance(slot, 128);
            int fork = cache.fork(slot);
            int[] rows = IntStream.range(1, 128).toArray();
            KvCache.Kept first = new KvCache.Kept(slot, 0, 0, rows, 100);
            KvCache.Kept second = new KvCache.Kept(slot, 1, 1, rows, 127);
            assertThatThrownBy(() -> cache.retain(List.of(first, second)))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("4 pages that are shared with a fork");
            assertThat(cache.position(slot, 0, 0, 0)).isZero();
            assertThat(cache.settled().toFloats()).containsOnly(0);
            cache.close(fork);
            assertThat(cache.retain(List.of(first, second))).isEqualTo(2);
            assertThat(cache.position(slot, 1, 1, 0)).isOne();
            assertThat(cache.position(slot, 0, 1, 0)).isZero();
            assertThat(cache.settled().getFloat(SHAPE.headIndex(slot, 0, 0))).isEqualTo(100);
            cache.truncate(slot, 64);
            assertThat(cache.settled().getFloat(SHAPE.headIndex(slot, 0, 0))).isEqualTo(63);
        }
    }

    @Test
    void rowsAreNotDroppedBesideAPlaneThatCannotFollow() {
        KvPlane means = new KvPlane("means", DType.F32, 4, 16);
        try (KvCache cache = new KvCache(SHAPE, List.of(means), ALL)) {
            int slot = cache.open();
            cache.reserve(new int[] {slot}, new int[] {2});
            cache.advance(slot, 2);
            assertThatThrownBy(() -> retain(cache, slot, 0, 0, new int[] {1})).hasMessageContaining("means");
        }
    }

    @Test
    void outOfPagesIsSaidBeforeAnythingChanges() {
        long budget = 2 * SHAPE.pageBytes() * SHAPE.layers() * SHAPE.heads() * 3;
        try (KvCache cache = new KvCache(SHAPE, budget)) {
            int first = cache.open();
            int second = cache.open();
            cache.reserve(new int[] {first}, new int[] {64});
            cache.advance(first, 64);
            int free = cache.freePages();
            assertThatThrownBy(() -> cache.reserve(new int[] {first, second}, new int[] {1, 129}))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("pages left")
                    .hasMessageContaining("raise the cache's budget");
            assertThat(cache.freePages()).isEqualTo(free);
            cache.reserve(new int[] {first, second}, new int[] {1, 64});
            assertThat(cache.freePages()).isZero();
        }
    }

    @Test
    void aBudgetThatHoldsNoSequenceIsRefused() {
        assertThatThrownBy(() -> new KvCache(SHAPE, 2 * SHAPE.pageBytes()))
                .isInstanceOf(BackendException.class)
                .hasMessageContaining("one sequence needs at least 6");
    }

    @Test
    void slotsThatAreNotOpenAreRefused() {
        try (KvCache cache = new KvCache(SHAPE, ALL)) {
            assertThatThrownBy(() -> cache.length(0)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> cache.truncate(-1, 0)).isInstanceOf(IllegalArgumentException.class);
            int slot = cache.open();
            assertThatThrownBy(() -> cache.truncate(slot, 1)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    private static void retain(KvCache cache, int slot, int layer, int head, int[] rows) {
        cache.retain(List.of(new KvCache.Kept(slot, layer, head, rows, rows.length)));
    }
}
