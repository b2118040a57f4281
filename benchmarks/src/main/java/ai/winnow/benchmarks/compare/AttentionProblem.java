package ai.winnow.benchmarks.compare;

import java.util.SplittableRandom;

/** Attention of one new token: sizes, for peers that make up their own numbers. Time does not depend on them. */
record AttentionProblem(int queryHeads, int keyValueHeads, int headDim, int context) {

    float[] numbers(long count) {
        SplittableRandom random = new SplittableRandom(7);
        float[] numbers = new float[Math.toIntExact(count)];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (float) random.nextDouble(-1, 1);
        }
        return numbers;
    }
}
