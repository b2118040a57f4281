package ai.winnow.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.BackendException;
import ai.winnow.ir.KvShape;
import ai.winnow.tensor.DType;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class KvCacheTest {

    private static final KvShape SHAPE = new KvShape(2, 3, 4, 5, 300, DType.F32);
    private static final long ALL = Long.MAX_VALUE;

    /** A row is written as its own number into every head; a plain list of rows says what must be found. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void anySequenceOfOperationsLeavesWhatAListOfRowsHolds(long seed) {
        Random random = new Random(seed);
        try (KvCache cache = new KvCache(SHAPE, ALL)) {
            int allPages = cache.freePages();
            Map<Integer, List<Float>> model = new HashMap<>();
            float next = 1;
            for (int step = 0; step < 400; step++) {
                int action = random.nextInt(10);
                List<Integer> open = List.copyOf(model.keySet());
                if (open.isEmpty() || (action == 0 && open.size() < SHAPE.slots())) {
                    model.put(cache.open(), new ArrayList<>());
                } else if (action == 1) {
                    int slot = open.get(random.nextInt(open.size()));
                    cache.close(slot);
                    model.remove(slot);
                } else if (action == 2) {
                    int slot = open.get(random.nextInt(open.size()));
                    int length = random.nextInt(rowsOf(model, slot).size() + 1);
                    cache.truncate(slot, length);
                    model.put(slot, new ArrayList<>(rowsOf(model, slot).subList(0, length)));
                } else {
                    int slot = open.get(random.nextInt(open.size()));
                    int rows = 1 + random.nextInt(70);
                    if (rowsOf(model, slot).size() + rows > SHAPE.contextLength()) {
                        assertThatThrownBy(() -> cache.reserve(new int[] {slot}, new int[] {rows}))
                                .isInstanceOf(BackendException.class);
                        continue;
                    }
                    cache.reserve(new int[] {slot}, new int[] {rows});
                    if (action == 3) {
                        cache.truncate(slot, cache.length(slot)); // a step that failed
                        continue;
                    }
                    for (int i = 0; i < rows; i++) {
                        write(cache, slot, rowsOf(model, slot).size(), next);
                        rowsOf(model, slot).add(next++);
                    }
                    cache.advance(slot, rows);
                }
                model.forEach((slot, rows) -> assertHolds(cache, slot, rows, seed));
            }
            assertNoPageIsSharedOrLost(cache, model, allPages);
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

    private static List<Float> rowsOf(Map<Integer, List<Float>> model, int slot) {
        return Objects.requireNonNull(model.get(slot));
    }

    private static void write(KvCache cache, int slot, int row, float value) {
        forEachHead((layer, head) -> {
            long at = element(cache, slot, layer, head, row);
            cache.keys().segment().setAtIndex(ValueLayout.JAVA_FLOAT, at, value + 0.25f * head);
            cache.values().segment().setAtIndex(ValueLayout.JAVA_FLOAT, at, -value - 0.25f * layer);
        });
    }

    private static void assertHolds(KvCache cache, int slot, List<Float> rows, long seed) {
        assertThat(cache.length(slot)).as("seed %d", seed).isEqualTo(rows.size());
        forEachHead((layer, head) -> {
            int index = SHAPE.headIndex(slot, layer, head);
            assertThat(cache.lengths().segment().getAtIndex(ValueLayout.JAVA_INT, index))
                    .isEqualTo(rows.size());
            for (int row = 0; row < rows.size(); row++) {
                long at = element(cache, slot, layer, head, row);
                float key = cache.keys().segment().getAtIndex(ValueLayout.JAVA_FLOAT, at);
                float value = cache.values().segment().getAtIndex(ValueLayout.JAVA_FLOAT, at);
                if (key != rows.get(row) + 0.25f * head || value != -rows.get(row) - 0.25f * layer) {
                    throw new AssertionError("seed " + seed + ": row " + row + " of slot " + slot + " holds " + key
                            + ", " + value + " instead of " + rows.get(row));
                }
            }
        });
    }

    private static void assertNoPageIsSharedOrLost(KvCache cache, Map<Integer, List<Float>> model, int allPages) {
        Set<Integer> pages = new HashSet<>();
        model.forEach((slot, rows) -> forEachHead((layer, head) -> {
            for (int row = 0; row < rows.size(); row += KvShape.PAGE_ROWS) {
                int page = (int) (element(cache, slot, layer, head, row) / SHAPE.pageElements());
                assertThat(pages.add(page))
                        .as("page %d belongs to one head", page)
                        .isTrue();
            }
        }));
        assertThat(pages.size() + cache.freePages()).isEqualTo(allPages);
    }

    private static long element(KvCache cache, int slot, int layer, int head, int row) {
        long entry = SHAPE.tableIndex(slot, layer, head) + row / KvShape.PAGE_ROWS;
        int page = cache.table().segment().getAtIndex(ValueLayout.JAVA_INT, entry);
        return page * SHAPE.pageElements() + (long) (row % KvShape.PAGE_ROWS) * SHAPE.headDim();
    }

    private interface HeadAction {
        void run(int layer, int head);
    }

    private static void forEachHead(HeadAction action) {
        for (int layer = 0; layer < SHAPE.layers(); layer++) {
            for (int head = 0; head < SHAPE.heads(); head++) {
                action.run(layer, head);
            }
        }
    }
}
