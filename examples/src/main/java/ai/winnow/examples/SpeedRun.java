package ai.winnow.examples;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What is timed, the same for all: a prompt, then tokens one by one, each the most likely after the last.
 *
 * @param prompt token ids
 * @param newTokens how many to decode
 * @param threads how many threads each side may use
 */
record SpeedRun(int[] prompt, int newTokens, int threads) {

    /** Prompts of which the fastest counts: the machine may be shared, and the first is not yet warm. */
    static final int PROMPTS = 3;

    /** Tokens that one subject decodes before it is the next one's turn. */
    private static final int TURN = 4;

    /** A model that can be timed. */
    interface Subject {
        /** Begins a new sequence with {@code prompt}. @return the most likely next token */
        int prefill(int[] prompt);

        /** Appends one token. @return the most likely next one */
        int decode(int token);
    }

    /**
     * Times in nanoseconds.
     *
     * @param prefill of the whole prompt
     * @param token median of one token
     */
    record Times(double prefill, double token) {}

    static SpeedRun of(ModelShape shape, int promptTokens, int newTokens, int threads) {
        int[] prompt = new int[promptTokens];
        for (int i = 0; i < promptTokens; i++) {
            prompt[i] = Math.floorMod(i * 7919 + 17, shape.vocabSize());
        }
        return new SpeedRun(prompt, newTokens, threads);
    }

    /** Times subjects that are compared with each other, in turns: what else the machine does hits them alike. */
    List<Times> time(List<? extends Subject> subjects) {
        int count = subjects.size();
        double[] prefill = new double[count];
        Arrays.fill(prefill, Double.POSITIVE_INFINITY);
        double[][] times = new double[count][newTokens];
        int[] tokens = new int[count];
        for (int round = 0; round < PROMPTS; round++) {
            for (int i = 0; i < count; i++) {
                long start = System.nanoTime();
                tokens[i] = subjects.get(i).prefill(prompt);
                prefill[i] = Math.min(prefill[i], (double) (System.nanoTime() - start));
            }
        }
        for (int from = 0; from < newTokens; from += TURN) {
            for (int i = 0; i < count; i++) {
                for (int token = from; token < Math.min(newTokens, from + TURN); token++) {
                    long start = System.nanoTime();
                    tokens[i] = subjects.get(i).decode(tokens[i]);
                    times[i][token] = System.nanoTime() - start;
                }
            }
        }
        List<Times> results = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Arrays.sort(times[i]);
            results.add(new Times(prefill[i], times[i][newTokens / 2]));
        }
        return results;
    }
}
