package ai.winnow.contract;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * A text for a {@link RetrievalModel} and questions about it. A fact is a key and the value that follows it. Each question asks for
 * another key, of another cluster; its key occurs 1, 3, 9, ... times, two thirds of them with the answer and one third with one
 * other value that differs from it in every part: who reads a few of them counts a sample of the votes. The other keys of the
 * same clusters, which are near matches, occur with any values, and half of what is left is fillers.
 *
 * @param context the text
 * @param questions what to ask, each after the text alone
 */
public record RetrievalTask(int[] context, List<Question> questions) {

    /**
     * @param tokens what follows the text
     * @param answer the token that is right
     * @param occurrences of its key in the text
     */
    public record Question(int[] tokens, int answer, int occurrences) {}

    /** A token or two that stay together. */
    private record Piece(int... tokens) {}

    /**
     * A task that depends on nothing but its arguments.
     *
     * @param length tokens of the text and a question together
     * @param count how many questions
     */
    public static RetrievalTask of(RetrievalModel model, long seed, int length, int count) {
        if (count < 1 || count > RetrievalCodes.CLUSTERS || length > model.positions() || 4 * count > length) {
            throw new IllegalArgumentException(
                    count + " questions about " + length + " tokens: at most " + RetrievalCodes.CLUSTERS
                            + ", and a fourth of the tokens; at most " + model.positions() + " tokens");
        }
        Random random = new Random(seed);
        List<Integer> clusters = new ArrayList<>();
        for (int cluster = 0; cluster < RetrievalCodes.CLUSTERS; cluster++) {
            clusters.add(cluster);
        }
        Collections.shuffle(clusters, random);
        List<Piece> pieces = new ArrayList<>();
        List<Question> questions = new ArrayList<>();
        int[] asked = new int[count];
        int classes = classes(length, count);
        for (int i = 0; i < count; i++) {
            asked[i] = random.nextInt(RetrievalCodes.CLUSTER_SIZE);
            int occurrences = power(i % classes);
            int right = random.nextInt(model.values());
            int wrong = differentInEveryPart(model, right, random);
            int key = RetrievalCodes.key(clusters.get(i), asked[i]);
            for (int j = 0; j < occurrences; j++) {
                pieces.add(new Piece(key, RetrievalCodes.value(3 * j < 2 * occurrences ? right : wrong)));
            }
            questions.add(new Question(new int[] {key}, RetrievalCodes.value(right), occurrences));
        }
        int room = length - 2 - 2 * pieces.size(); // without the first token and the question
        for (int i = 0; i < room / 4; i++) {
            int cluster = random.nextInt(count);
            int other = asked[cluster] + 1 + random.nextInt(RetrievalCodes.CLUSTER_SIZE - 1);
            pieces.add(new Piece(
                    RetrievalCodes.key(clusters.get(cluster), other % RetrievalCodes.CLUSTER_SIZE),
                    RetrievalCodes.value(random.nextInt(model.values()))));
        }
        for (int i = 0; i < room - 2 * (room / 4); i++) {
            pieces.add(new Piece(1 + random.nextInt(RetrievalCodes.FILLERS - 1)));
        }
        Collections.shuffle(pieces, random);
        int[] context = new int[length - 1];
        int at = 1;
        for (Piece piece : pieces) {
            for (int token : piece.tokens) {
                context[at++] = token;
            }
        }
        return new RetrievalTask(context, List.copyOf(questions));
    }

    /** As many powers of three as leave four tenths of the text to other things. */
    private static int classes(int length, int count) {
        int classes = 1;
        while (classes < count && facts(count, classes + 1) * 2 <= 0.6 * length) {
            classes++;
        }
        return classes;
    }

    private static long facts(int count, int classes) {
        long facts = 0;
        for (int i = 0; i < count; i++) {
            facts += power(i % classes);
        }
        return facts;
    }

    private static int power(int exponent) {
        return (int) Math.round(Math.pow(3, exponent));
    }

    private static int differentInEveryPart(RetrievalModel model, int value, Random random) {
        int other = 0;
        for (int part = 0; part < model.parts(); part++) {
            int shift = 1 + random.nextInt(RetrievalModel.SYMBOLS - 1);
            other |= (RetrievalModel.symbol(value, part) + shift) % RetrievalModel.SYMBOLS << (2 * part);
        }
        return other;
    }
}
