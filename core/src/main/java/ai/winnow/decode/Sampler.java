package ai.winnow.decode;

import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/**
 * Takes a token from the logits of each step of one sequence. The same options with a seed and the same logits give the same
 * tokens, whatever else runs. Greedy sampling reads the logits once; top-k and top-p take {@code n + m log n} for {@code m} tokens
 * kept. Ties go to the lower token. Not thread-safe.
 */
public final class Sampler {

    private static final RandomGeneratorFactory<RandomGenerator> RANDOM = RandomGeneratorFactory.of("L64X128MixRandom");

    private final GenerationOptions options;
    private final int vocabSize;
    private final Candidates candidates;
    private final RandomGenerator random;
    private final BitSet seen = new BitSet();

    public Sampler(GenerationOptions options, int vocabSize) {
        this(options, vocabSize, new Candidates());
    }

    /** A sampler that works in {@code shared} room: others may use it between two calls. */
    Sampler(GenerationOptions options, int vocabSize, Candidates shared) {
        this.options = options;
        this.vocabSize = vocabSize;
        this.candidates = shared;
        Long seed = options.seed();
        this.random = seed == null ? RANDOM.create() : RANDOM.create(seed);
    }

    /** Counts {@code tokens} as part of the text: the repetition penalty applies to them. */
    public void see(int... tokens) {
        for (int token : tokens) {
            seen.set(token);
        }
    }

    /**
     * Takes a token and counts it as part of the text.
     *
     * @param logits F32 {@code [vocabSize]}; not changed
     * @throws ai.winnow.BackendException if no logit is finite, or one is NaN
     */
    public int next(MemorySegment logits) {
        float[] scores = candidates.load(logits, vocabSize);
        penalise(scores);
        float greatest = candidates.greatest(vocabSize);
        int token = options.temperature() == 0 ? first(scores, greatest) : sample(scores, greatest);
        seen.set(token);
        return token;
    }

    private void penalise(float[] scores) {
        float penalty = options.repetitionPenalty();
        if (penalty == 1) {
            return;
        }
        for (int token = seen.nextSetBit(0); token >= 0; token = seen.nextSetBit(token + 1)) {
            float score = scores[token];
            scores[token] = score < 0 ? score * penalty : score / penalty;
        }
    }

    private int first(float[] scores, float greatest) {
        int token = 0;
        while (scores[token] != greatest) {
            token++;
        }
        return token;
    }

    private int sample(float[] scores, float greatest) {
        boolean few = options.topK() > 0 && options.topK() < vocabSize;
        if (few || options.topP() < 1) {
            return fromTheTop(scores, greatest, few ? options.topK() : vocabSize);
        }
        double total = 0;
        for (int token = 0; token < vocabSize; token++) {
            float weight = weight(scores[token], greatest);
            scores[token] = weight >= options.minP() ? weight : 0;
            total += scores[token];
        }
        double rest = random.nextDouble() * total;
        int last = 0;
        for (int token = 0; token < vocabSize; token++) {
            if (scores[token] > 0) {
                last = token;
                rest -= scores[token];
                if (rest < 0) {
                    break;
                }
            }
        }
        return last;
    }

    /** Samples from at most {@code most} tokens, those with the greatest scores. */
    private int fromTheTop(float[] scores, float greatest, int most) {
        candidates.order(vocabSize);
        double total = 0;
        for (int n = 0; n < most; n++) {
            // Top-p counts probabilities among those that top-k kept.
            total += weight(scores[most < vocabSize ? candidates.take() : n], greatest);
        }
        double nucleus = options.topP() * total;
        double kept = 0;
        int count = 0;
        while (count < most && (count == 0 || kept < nucleus)) {
            int token = most < vocabSize ? candidates.taken(count, vocabSize) : candidates.take();
            float weight = weight(scores[token], greatest);
            if (weight == 0 || weight < options.minP()) {
                break;
            }
            kept += weight;
            count++;
        }
        double rest = random.nextDouble() * kept;
        int n = 0;
        while (n < count - 1) {
            rest -= weight(scores[candidates.taken(n, vocabSize)], greatest);
            if (rest < 0) {
                break;
            }
            n++;
        }
        return candidates.taken(n, vocabSize);
    }

    /** The probability of a token relative to the most likely. */
    private float weight(float score, float greatest) {
        return (float) Math.exp((score - greatest) / options.temperature());
    }
}
