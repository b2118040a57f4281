package ai.winnow.benchmarks.retrieval;

import ai.winnow.contract.RetrievalTask;
import ai.winnow.contract.RetrievalTask.Question;
import ai.winnow.ir.Phase;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.KvTraffic;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import java.util.TreeMap;

/**
 * What a model answered.
 *
 * @param byOccurrences right answers and questions by how often the key occurs
 * @param bytesReadFraction share of the cache's bytes that dense attention would have read for the answers
 * @param prefillSeconds time that the text took
 * @param questionSeconds time that all questions took
 */
record Answers(
        TreeMap<Integer, Count> byOccurrences,
        double bytesReadFraction,
        double prefillSeconds,
        double questionSeconds) {

    /** Of {@code asked} questions {@code right} were answered right. */
    record Count(int right, int asked) {
        Count and(Count other) {
            return new Count(right + other.right, asked + other.asked);
        }

        double share() {
            return (double) right / asked;
        }
    }

    /** Reads the text once and asks every question behind it, token by token, each time from the text's end. */
    static Answers of(SparseModel model, RetrievalTask task) {
        try (Session session = model.newSession()) {
            long start = System.nanoTime();
            SequenceId sequence = session.open();
            session.run(Phase.PREFILL, Batch.of(sequence, task.context()));
            long prefilled = System.nanoTime();
            KvTraffic traffic = new KvTraffic(session);
            session.observe(traffic);
            TreeMap<Integer, Count> counts = new TreeMap<>();
            for (Question question : task.questions()) {
                int right = answer(session, sequence, question) == question.answer() ? 1 : 0;
                counts.merge(question.occurrences(), new Count(right, 1), Count::and);
                session.truncate(sequence, task.context().length);
            }
            return new Answers(
                    counts, traffic.fraction(), (prefilled - start) / 1e9, (System.nanoTime() - prefilled) / 1e9);
        }
    }

    private static int answer(Session session, SequenceId sequence, Question question) {
        int answer = -1;
        for (int token : question.tokens()) {
            answer = session.run(Phase.DECODE, Batch.of(sequence, token)).argMax(0);
        }
        return answer;
    }

    Count all() {
        return byOccurrences.values().stream().reduce(new Count(0, 0), Count::and);
    }
}
