package ai.winnow.benchmarks.compare;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Times subjects in turns, round by round, so that a noisy host hits all alike. */
final class Rounds {

    private static final int ROUNDS = 11;

    /** A subject that is faster runs several times a round. */
    private static final double LEAST_NANOS = 2e6;

    /**
     * What a subject's threads may still do after it: OpenMP's spin for up to 16 ms in wait for more work and would take a processor
     * from the next; ours and ONNX Runtime's stop at once.
     */
    private static final long PAUSE_MILLIS = 1;

    private static final long PAUSE_AFTER_SPINNERS_MILLIS = 20;
    private static final Set<String> SPINNERS = Set.of("libtorch");

    // Warming up: one stretch after the other until some in a row were no faster than those before. The JVM compiles in
    // steps, and
    // code that is new to it may stay as slow as it is for half a second before the next.
    private static final long STRETCH_NANOS = 50_000_000;
    private static final int MOST_STRETCHES = 40;
    private static final int PATIENCE = 11;
    private static final int PATIENCE_WITH_KNOWN_CODE = 1;
    private static final double STILL_FASTER = 0.97;

    private final Set<String> known = new HashSet<>();
    private final Map<String, Integer> limitRepeats = new HashMap<>();

    /**
     * Something to time.
     *
     * @param code what runs: code that ran before is compiled
     * @param limit whether it is the same work whenever it is timed, and needs to warm up once only
     */
    record Timed(Runnable run, String code, boolean limit) {}

    /** The median time of a run of each, in nanoseconds, by name. */
    Map<String, Double> time(Map<String, Timed> subjects) {
        Map<String, Integer> repeats = new HashMap<>();
        subjects.forEach((name, subject) -> {
            int count = subject.limit()
                    ? limitRepeats.computeIfAbsent(name, _ -> repeats(warm(subject.run(), subject.code())))
                    : repeats(warm(subject.run(), subject.code()));
            repeats.put(name, count);
            pause(name);
        });
        Map<String, List<Double>> times = new LinkedHashMap<>();
        for (int round = 0; round < ROUNDS; round++) {
            subjects.forEach((name, subject) -> {
                int count = repeats.getOrDefault(name, 1);
                long start = System.nanoTime();
                for (int i = 0; i < count; i++) {
                    subject.run().run();
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
    Subject fastest(List<Subject> subjects) {
        int best = 0;
        double least = Double.POSITIVE_INFINITY;
        for (int i = 0; i < subjects.size() && subjects.size() > 1; i++) {
            double nanos = warm(subjects.get(i)::run, subjects.get(i).call());
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
    private double warm(Runnable subject, String code) {
        int patience = known.add(code) ? PATIENCE : PATIENCE_WITH_KNOWN_CODE;
        double best = Double.POSITIVE_INFINITY;
        int since = 0;
        for (int i = 0; i < MOST_STRETCHES && since < patience; i++) {
            double now = stretch(subject);
            since = now < STILL_FASTER * best ? 0 : since + 1;
            best = Math.min(best, now);
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
