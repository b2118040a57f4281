package ai.winnow.benchmarks.compare;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Times subjects in turns, round by round, so that a noisy host hits all alike. */
final class Rounds {

    private static final int ROUNDS = 15;
    private static final long WARM_NANOS = 400_000_000L;

    /** A subject that is faster runs several times a round. */
    private static final double LEAST_NANOS = 2e6;

    private Rounds() {}

    /** The median time of a run of each, in nanoseconds, by name. */
    static Map<String, Double> time(Map<String, Runnable> subjects) {
        Map<String, Integer> repeats = new LinkedHashMap<>();
        subjects.forEach((name, subject) -> repeats.put(name, warm(subject)));
        Map<String, List<Double>> times = new LinkedHashMap<>();
        for (int round = 0; round < ROUNDS; round++) {
            subjects.forEach((name, subject) -> {
                pause();
                int count = repeats.getOrDefault(name, 1);
                long start = System.nanoTime();
                for (int i = 0; i < count; i++) {
                    subject.run();
                }
                double nanos = (double) (System.nanoTime() - start) / count;
                times.computeIfAbsent(name, _ -> new ArrayList<>()).add(nanos);
            });
        }
        Map<String, Double> medians = new LinkedHashMap<>();
        times.forEach((name, all) -> medians.put(name, median(all)));
        return medians;
    }

    static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).toArray();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    /** Until its code is compiled; @return how often it runs in a round */
    private static int warm(Runnable subject) {
        double least = Double.POSITIVE_INFINITY;
        long begin = System.nanoTime();
        for (int i = 0; i < 3 || System.nanoTime() - begin < WARM_NANOS; i++) {
            long start = System.nanoTime();
            subject.run();
            least = Math.min(least, (double) (System.nanoTime() - start));
        }
        return (int) Math.clamp(LEAST_NANOS / least, 1, 200);
    }

    /** The threads of the one before may still spin, and would take a processor from the next. */
    private static void pause() {
        try {
            Thread.sleep(15);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }
}
