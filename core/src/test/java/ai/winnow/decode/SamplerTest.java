package ai.winnow.decode;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.winnow.BackendException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The sampling chain, against probabilities written down a second time. */
class SamplerTest {

    private static final int DRAWS = 40_000;
    private static final GenerationOptions WARM =
            GenerationOptions.defaults().withTemperature(1).withSeed(7L);

    /** Logits whose softmax is 0.1, 0.4, 0.2, 0.25, 0.05. */
    private static final float[] LOGITS = logs(0.1, 0.4, 0.2, 0.25, 0.05);

    @Test
    void greedyTakesTheGreatestAndTiesGoToTheLowerToken() {
        assertThat(next(GenerationOptions.defaults(), 1, 3, 2, 3, 0)).isEqualTo(1);
    }

    @Test
    void frequenciesAreTheSoftmax() {
        assertFrequencies(WARM, 0.1, 0.4, 0.2, 0.25, 0.05);
    }

    @Test
    void temperatureDividesTheLogits() {
        assertFrequencies(
                WARM.withTemperature(0.5f), 0.01 / 0.275, 0.16 / 0.275, 0.04 / 0.275, 0.0625 / 0.275, 0.0025 / 0.275);
    }

    @Test
    void topKKeepsTheMostLikely() {
        assertFrequencies(WARM.withTopK(2), 0, 0.4 / 0.65, 0, 0.25 / 0.65, 0);
    }

    @Test
    void topPKeepsTheFewestThatReachIt() {
        assertFrequencies(WARM.withTopP(0.6f), 0, 0.4 / 0.65, 0, 0.25 / 0.65, 0);
        assertFrequencies(WARM.withTopP(0.001f), 0, 1, 0, 0, 0);
    }

    @Test
    void topPCountsAmongThoseThatTopKKept() {
        // Of 0.4, 0.25, 0.2 (sum 0.85) the first two are 0.76.
        assertFrequencies(WARM.withTopK(3).withTopP(0.75f), 0, 0.4 / 0.65, 0, 0.25 / 0.65, 0);
        assertFrequencies(WARM.withTopK(3).withTopP(0.78f), 0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0);
    }

    @Test
    void minPIsRelativeToTheMostLikely() {
        assertFrequencies(WARM.withMinP(0.45f), 0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0);
        assertFrequencies(WARM.withMinP(0.45f).withTopK(4), 0, 0.4 / 0.85, 0.2 / 0.85, 0.25 / 0.85, 0);
    }

    @Test
    void tiesAtTheEdgeOfTopKGoToTheLowerToken() {
        float[] flat = new float[50];
        Sampler sampler = new Sampler(WARM.withTopK(5), flat.length);
        assertThat(draws(sampler, flat, 2_000)).containsOnly(0, 1, 2, 3, 4);
    }

    @Test
    void repetitionDividesPositiveAndMultipliesNegativeLogits() {
        GenerationOptions penalty = GenerationOptions.defaults().withRepetitionPenalty(2);
        Sampler sampler = new Sampler(penalty, 3);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment row = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 3f, 2f, 1f);
            assertThat(sampler.next(row)).isEqualTo(0);
            assertThat(sampler.next(row)).isEqualTo(1);
            // Now 1.5, 1, 1: the first again.
            assertThat(sampler.next(row)).isEqualTo(0);
            assertThat(row.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(3, 2, 1);
        }
        Sampler negative = new Sampler(penalty, 2);
        negative.see(0);
        try (Arena arena = Arena.ofConfined()) {
            assertThat(negative.next(arena.allocateFrom(ValueLayout.JAVA_FLOAT, -2f, -3f)))
                    .isEqualTo(1);
        }
    }

    @Test
    void theSameSeedGivesTheSameTokensAlsoInSharedRoom() {
        float[] logits = random(300, 3);
        int[] alone = draws(new Sampler(WARM.withTopP(0.9f), 300), logits, 50);
        Candidates shared = new Candidates();
        Sampler one = new Sampler(WARM.withTopP(0.9f), 300, shared);
        Sampler other = new Sampler(WARM.withSeed(8L).withTopK(9), 300, shared);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment row = arena.allocateFrom(ValueLayout.JAVA_FLOAT, logits);
            for (int expected : alone) {
                assertThat(one.next(row)).isEqualTo(expected);
                other.next(row);
            }
        }
        assertThat(draws(new Sampler(WARM.withTopP(0.9f).withSeed(9L), 300), logits, 50))
                .isNotEqualTo(alone);
    }

    @Test
    void theHeapGivesTheOrderOfAFullSort() {
        for (int size : new int[] {1, 2, 3, 7, 8, 64, 257}) {
            float[] scores = random(size, size);
            for (int i = 0; i < size; i += 3) {
                scores[i] = 0.5f;
            }
            Candidates candidates = new Candidates();
            try (Arena arena = Arena.ofConfined()) {
                candidates.load(arena.allocateFrom(ValueLayout.JAVA_FLOAT, scores), size);
            }
            candidates.order(size);
            int[] sorted = IntStream.range(0, size)
                    .boxed()
                    .sorted(Comparator.comparingDouble((Integer i) -> -scores[i])
                            .thenComparingInt(i -> i))
                    .mapToInt(i -> i)
                    .toArray();
            assertThat(IntStream.range(0, size).map(i -> candidates.take()).toArray())
                    .as("size %d", size)
                    .containsExactly(sorted);
            assertThat(IntStream.range(0, size)
                            .map(i -> candidates.taken(i, size))
                            .toArray())
                    .containsExactly(sorted);
        }
    }

    @Test
    void forbiddenTokensAreNeverTakenAndNanIsNotDropped() {
        float[] masked = {Float.NEGATIVE_INFINITY, 1, Float.NEGATIVE_INFINITY, 1};
        assertThat(draws(new Sampler(WARM, 4), masked, 500)).containsOnly(1, 3);
        assertThat(draws(new Sampler(WARM.withTopK(3), 4), masked, 500)).containsOnly(1, 3);
        for (GenerationOptions options : new GenerationOptions[] {GenerationOptions.defaults(), WARM.withTopK(2)}) {
            assertThatThrownBy(() -> next(options, 1, Float.NaN, 2))
                    .isInstanceOf(BackendException.class)
                    .hasMessageContaining("NaN");
            assertThatThrownBy(() -> next(options, Float.NEGATIVE_INFINITY)).isInstanceOf(BackendException.class);
        }
    }

    private static int next(GenerationOptions options, float... logits) {
        return draws(new Sampler(options, logits.length), logits, 1)[0];
    }

    private static int[] draws(Sampler sampler, float[] logits, int count) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment row = arena.allocateFrom(ValueLayout.JAVA_FLOAT, logits);
            return IntStream.range(0, count).map(i -> sampler.next(row)).toArray();
        }
    }

    private static void assertFrequencies(GenerationOptions options, double... probabilities) {
        int[] counts = new int[probabilities.length];
        for (int token : draws(new Sampler(options, probabilities.length), LOGITS, DRAWS)) {
            counts[token]++;
        }
        for (int i = 0; i < counts.length; i++) {
            double p = probabilities[i];
            // Five standard deviations, and exactly none of what is cut off.
            double tolerance = 5 * Math.sqrt(p * (1 - p) / DRAWS);
            assertThat(Math.abs((double) counts[i] / DRAWS - p))
                    .as("token %d of %s", i, Arrays.toString(counts))
                    .isLessThanOrEqualTo(tolerance);
        }
    }

    private static float[] logs(double... probabilities) {
        float[] logits = new float[probabilities.length];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) Math.log(probabilities[i]) + 3;
        }
        return logits;
    }

    private static float[] random(int size, int seed) {
        Random random = new Random(seed);
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = (float) (3 * random.nextGaussian());
        }
        return values;
    }
}
