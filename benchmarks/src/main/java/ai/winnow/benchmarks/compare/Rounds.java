package ai.winnow.benchmarks.compare;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Times subjects in turns, round by round, so that a noisy host hits all alike. */
final class Rounds {

    private static final int ROUNDS = 15;

    /** A subject that is faster runs several times a round. */
    private static final double LEAST_NANOS = 2e6;

    /**
     * What a subject's threads may still do after it: OpenMP's spin for up to 16 ms in wait for more work and would take a processor
     * from the next; ours and ONNX Runtime's stop at once.
     */
    private static final long PAUSE_MILLIS = 1;

    private static final long PAUSE_AFTER_SPINNERS_MILLIS = 20;
    private static final Set<String> SPINNERS = Set.of("libtorch");

    // Warming up: one stretch after the other until one is no faster than those before.
    private static final long STRETCH_NANOS = 50_000_000;
    private static final int LEAST_STRETCHES = 4;

    private static final int MOST_STRETCHES = 16;
    private static final double STILL_FASTER = 0.97;

    private final Set<String> warm = new HashSet<>();
    private final Map<String, Integer> repeats = new LinkedHashMap<>();

    /**
     * The median time of a run of each, in nanoseconds, by name.
     *
     * @param always names that stand for the same work in each call: they are warmed up once
     */
    Map<String, Double> time(Map<String, Runnable> subjects, Set<String> always) {
        subjects.forEach((name, subject) -> {
            if (warm.add(name) || !always.contains(name)) {
                repeats.put(name, repeats(warm(subject)));
                pause(name);
            }
        });
        Map<String, List<Double>> times = new LinkedHashMap<>();
        for (int round = 0; round < ROUNDS; round++) {
            subjects.forEach((name, subject) -> {
                int count = repeats.getOrDefault(name, 1);
                long start = System.nanoTime();
                for (int i = 0; i < count; i++) {
                    subject.run();
                }
                double nanos = (double) (System.nanoTime() - start) / count;
                times.computeIfAbsent(name, _ -> new ArrayList<>()).add(nanos);
                pause(name);
            });
        }
        Map<String, Double> medians = new LinkedHashMap<>();
        times.forEach((name, all) -> medians.put(name, median(all)));
        return medians;
    }

    /** Keeps the fastest of several ways to compute the same and closes the others. */
    static Subject fastest(List<Subject> subjects) {
        int best = 0;
        double least = Double.POSITIVE_INFINITY;
        for (int i = 0; i < subjects.size() && subjects.size() > 1; i++) {
            double nanos = warm(subjects.get(i)::run);
            if (nanos < least) {
                least = nanos;
                best = i;
            }
        }
        for (int i = 0; i < subjects.size(); i++) {
            if (i != best) {
                subjects.get(i).close();
            }
        }
        return subjects.get(best);
    }

    static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).toArray();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    /** Until its code is compiled and it gets no faster; @return the median nanoseconds of its fastest stretch. */
    private static double warm(Runnable subject) {
        double best = Double.POSITIVE_INFINITY;
        for (int stretch = 0; stretch < MOST_STRETCHES; stretch++) {
            double now = stretch(subject);
            boolean settled = stretch + 1 >= LEAST_STRETCHES && now > STILL_FASTER * best;
            best = Math.min(best, now);
            if (settled) {
                break;
            }
        }
        return best;
    }

    private static double stretch(Runnable subject) {
        List<Double> times = new ArrayList<>();
        long begin = System.nanoTime();
        while (times.isEmpty() || System.nanoTime() - begin < STRETCH_NANOS) {
            long start = System.nanoTime();
            subject.run();
            times.add((double) (System.nanoTime() - start));
        }
        return median(times);
    }

    private static int repeats(double nanos) {
        return (int) Math.clamp(LEAST_NANOS / nanos, 1, 200);
    }

    private static void pause(String after) {
        try {
            Thread.sleep(SPINNERS.contains(after) ? PAUSE_AFTER_SPINNERS_MILLIS : PAUSE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
    }
}
