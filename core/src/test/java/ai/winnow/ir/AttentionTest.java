package ai.winnow.ir;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.winnow.reference.Interpreter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The paged cache, filled step by step by KvAppend, attended to by Attention, against attention over plain lists of rows. */
class AttentionTest {

    private static final int LAYERS = 2;
    private static final int LAYER = 1;
    private static final int KV_HEADS = 2;
    private static final int HEAD_DIM = 4;
    private static final int SLOTS = 3;
    private static final int CONTEXT = 200;
    private static final float SCALE = 0.5f;

    private final Arena arena = Arena.ofConfined();
    private final SplittableRandom random = new SplittableRandom(11);

    @AfterEach
    void close() {
        arena.close();
    }

    /** A cache in memory, with pages in disorder, and all that was ever written to it as plain rows. */
    private final class Cache {
        private final KvShape shape;
        private final Tensor keys;
        private final Tensor values;
        private final Tensor table;
        private final Tensor lengths;
        private final List<List<float[]>> writtenKeys = new ArrayList<>(); // a list a slot, [heads * headDim] a row
        private final List<List<float[]>> writtenValues = new ArrayList<>();

        private Cache(DType type) {
            shape = new KvShape(LAYERS, KV_HEADS, HEAD_DIM, SLOTS, CONTEXT, type);
            int pages = SLOTS * LAYERS * KV_HEADS * shape.pagesPerHead();
            keys = Tensor.allocate(arena, type, pages, KvShape.PAGE_ROWS, shape.rowElements());
            values = Tensor.allocate(arena, type, pages, KvShape.PAGE_ROWS, shape.rowElements());
            int[] entries = new int[pages];
            for (int i = 0; i < pages; i++) {
                entries[i] = (int) ((i * 7L + 3) % pages); // 7 and the number of pages share no divisor
            }
            table = Tensor.copyOf(arena, entries, SLOTS, LAYERS, KV_HEADS, shape.pagesPerHead());
            lengths = Tensor.allocate(arena, DType.I32, SLOTS, LAYERS, KV_HEADS);
            for (int slot = 0; slot < SLOTS; slot++) {
                writtenKeys.add(new ArrayList<>());
                writtenValues.add(new ArrayList<>());
            }
        }

        /** Runs one step that adds {@code added[s]} rows to slot {@code slots[s]}, and compares what its rows see. */
        private void step(int[] slots, int[] added, int queryHeads, int window) {
            int rows = 0;
            int[] indptr = new int[SLOTS + 1];
            List<Integer> sequence = new ArrayList<>();
            for (int s = 0; s < SLOTS; s++) {
                for (int i = 0; s < added.length && i < added[s]; i++) {
                    sequence.add(s);
                    rows++;
                }
                indptr[s + 1] = rows;
            }
            Tensor key = normal(rows, KV_HEADS);
            Tensor value = normal(rows, KV_HEADS);
            Tensor query = normal(rows, queryHeads);
            for (int row = 0; row < rows; row++) {
                writtenKeys.get(slots[sequence.get(row)]).add(cached(key, row));
                writtenValues.get(slots[sequence.get(row)]).add(cached(value, row));
            }
            List<Tensor> shared = List.of(
                    Tensor.copyOf(arena, sequence.stream().mapToInt(i -> i).toArray(), rows),
                    Tensor.copyOf(arena, indptr, SLOTS + 1),
                    Tensor.copyOf(arena, slots, slots.length),
                    keys,
                    values,
                    table,
                    lengths);
            assertThat(Interpreter.evaluate(new KvAppend(shape, LAYER), with(shared, key, value), arena))
                    .isEmpty();
            Attention attention = new Attention(shape, LAYER, queryHeads, SCALE, window);
            Tensor seen =
                    Interpreter.evaluate(attention, with(shared, query), arena).getFirst();
            for (int row = 0; row < rows; row++) {
                int s = sequence.get(row);
                int behind = indptr[s + 1] - 1 - row; // rows of the sequence that come later in this step
                int end = writtenKeys.get(slots[s]).size() - behind;
                for (int head = 0; head < queryHeads; head++) {
                    double[] expected = attend(query, row, queryHeads, head, slots[s], end, window);
                    for (int d = 0; d < HEAD_DIM; d++) {
                        long at = ((long) row * queryHeads + head) * HEAD_DIM + d;
                        assertThat((double) seen.getFloat(at))
                                .as("row %d, head %d, element %d", row, head, d)
                                .isCloseTo(expected[d], within(1e-6));
                    }
                }
            }
            for (int s = 0; s < slots.length; s++) {
                for (int head = 0; head < KV_HEADS; head++) {
                    int index = shape.headIndex(slots[s], LAYER, head);
                    lengths.segment()
                            .setAtIndex(
                                    ValueLayout.JAVA_INT,
                                    index,
                                    writtenKeys.get(slots[s]).size());
                }
            }
        }

        /** Softmax attention of one query head over the rows before {@code end}, over plain lists. */
        private double[] attend(Tensor query, int row, int queryHeads, int head, int slot, int end, int window) {
            int kvHead = head * KV_HEADS / queryHeads;
            double[] sums = new double[HEAD_DIM];
            double total = 0;
            for (int i = window == 0 ? 0 : Math.max(0, end - window); i < end; i++) {
                double dot = 0;
                for (int d = 0; d < HEAD_DIM; d++) {
                    float q = query.getFloat(((long) row * queryHeads + head) * HEAD_DIM + d);
                    dot += q * writtenKeys.get(slot).get(i)[kvHead * HEAD_DIM + d];
                }
                double weight = Math.exp(dot * SCALE);
                total += weight;
                for (int d = 0; d < HEAD_DIM; d++) {
                    sums[d] += weight * writtenValues.get(slot).get(i)[kvHead * HEAD_DIM + d];
                }
            }
            for (int d = 0; d < HEAD_DIM; d++) {
                sums[d] /= total;
            }
            return sums;
        }

        /** A row as the cache keeps it. */
        private float[] cached(Tensor tensor, int row) {
            float[] kept = new float[KV_HEADS * HEAD_DIM];
            for (int i = 0; i < kept.length; i++) {
                float x = tensor.getFloat((long) row * kept.length + i);
                kept[i] = shape.dtype() == DType.BF16 ? DType.bf16ToFloat(DType.floatToBf16(x)) : x;
            }
            for (int head = 0; shape.dtype() == DType.I8 && head < KV_HEADS; head++) {
                quantise(kept, head * HEAD_DIM);
            }
            return kept;
        }

        private static void quantise(float[] row, int from) {
            float greatest = 0;
            for (int d = from; d < from + HEAD_DIM; d++) {
                greatest = Math.max(greatest, Math.abs(row[d]));
            }
            for (int d = from; d < from + HEAD_DIM; d++) {
                row[d] = (float) Math.rint(row[d] / (greatest / 127)) * (greatest / 127);
            }
        }
    }

    private static List<Tensor> with(List<Tensor> shared, Tensor... first) {
        List<Tensor> all = new ArrayList<>(List.of(first));
        all.addAll(shared);
        return all;
    }

    private Tensor normal(int rows, int heads) {
        TensorSpec spec = TensorSpec.of(DType.F32, rows, (long) heads * HEAD_DIM);
        Tensor tensor = Tensor.allocate(arena, spec, Layout.ROW_MAJOR);
        for (long i = 0; i < spec.shape().maxElements(); i++) {
            DType.F32.setFloat(tensor.segment(), i, (float) random.nextGaussian());
        }
        return tensor;
    }

    /** Prefills two slots, decodes, adds a third, and crosses two borders of pages. */
    @ParameterizedTest
    @CsvSource({
        "F32, 2, 0",
        "F32, 4, 0",
        "BF16, 8, 0",
        "F32, 4, 1",
        "F32, 4, 5",
        "BF16, 2, 64",
        "F32, 2, 500",
        "I8, 4, 0",
        "I8, 2, 64"
    })
    void raggedStepsOverPages(DType type, int queryHeads, int window) {
        Cache cache = new Cache(type);
        cache.step(new int[] {2, 0}, new int[] {61, 7}, queryHeads, window);
        for (int i = 0; i < 4; i++) {
            cache.step(new int[] {0, 2}, new int[] {1, 1}, queryHeads, window);
        }
        cache.step(new int[] {1, 2, 0}, new int[] {3, 70, 1}, queryHeads, window);
        cache.step(new int[] {1}, new int[] {64}, queryHeads, window);
        cache.step(new int[] {2, 1, 0}, new int[] {1, 1, 1}, queryHeads, window);
    }

    @Test
    void aStepWhoseLengthsAreNotRaisedCanBeRepeated() {
        Cache cache = new Cache(DType.F32);
        cache.step(new int[] {0}, new int[] {5}, 2, 0);
        for (int head = 0; head < KV_HEADS; head++) {
            cache.lengths.segment().setAtIndex(ValueLayout.JAVA_INT, cache.shape.headIndex(0, LAYER, head), 3);
        }
        cache.writtenKeys.get(0).subList(3, 5).clear();
        cache.writtenValues.get(0).subList(3, 5).clear();
        cache.step(new int[] {0}, new int[] {2}, 2, 0);
    }

    @Test
    void theFirstRowSeesItselfOnly() {
        Cache cache = new Cache(DType.F32);
        Tensor value = normal(1, KV_HEADS);
        List<Tensor> shared = List.of(
                Tensor.copyOf(arena, new int[] {0}, 1),
                Tensor.copyOf(arena, new int[] {0, 1, 1, 1}, SLOTS + 1),
                Tensor.copyOf(arena, new int[] {1}, 1),
                cache.keys,
                cache.values,
                cache.table,
                cache.lengths);
        Interpreter.evaluate(new KvAppend(cache.shape, LAYER), with(shared, normal(1, KV_HEADS), value), arena);
        Attention attention = new Attention(cache.shape, LAYER, KV_HEADS, SCALE, 0);
        Tensor seen = Interpreter.evaluate(attention, with(shared, normal(1, KV_HEADS)), arena)
                .getFirst();
        assertThat(seen.toFloats()).containsExactly(value.toFloats());
    }
}
