package ai.winnow.examples;

import ai.winnow.ir.Phase;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.KvTraffic;
import ai.winnow.runtime.Logits;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.runtime.WeightTraffic;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Scores a model on real text, teacher-forced: the first {@code prefix} tokens of each window are prefilled, all others are
 * decoded one by one, and every prediction of a decode step is scored. Methods that act on decode only would show no loss if the
 * text were prefilled. All windows are run side by side.
 *
 * @param windows token ids, all of one length
 */
record QualityRun(List<int[]> windows, int prefix) {

    /**
     * What a model said.
     *
     * @param perplexity of the tokens that came
     * @param logits of every prediction
     * @param sparsity share of weight bytes not read
     * @param kvRead share of the bytes of cached keys and values that was read
     */
    record Scores(double perplexity, float[][] logits, double sparsity, double kvRead) {

        int tokens() {
            return logits.length;
        }

        /** The Kullback-Leibler divergence of each prediction from that of {@code dense}, in nats, ascending. */
        double[] divergences(Scores dense) {
            double[] divergences = new double[logits.length];
            for (int i = 0; i < divergences.length; i++) {
                divergences[i] = divergence(dense.logits[i], logits[i]);
            }
            Arrays.sort(divergences);
            return divergences;
        }
    }

    /** Needs a model of at least as many sequences a session as there are windows. */
    Scores score(SparseModel model) {
        try (Session session = model.newSession()) {
            List<SequenceId> sequences = new ArrayList<>();
            List<Batch.Entry> prefixes = new ArrayList<>();
            for (int[] window : windows) {
                SequenceId sequence = session.open();
                sequences.add(sequence);
                prefixes.add(new Batch.Entry(sequence, Arrays.copyOf(window, prefix)));
            }
            session.run(Phase.PREFILL, new Batch(prefixes));
            WeightTraffic traffic = new WeightTraffic(model);
            KvTraffic cache = new KvTraffic(session);
            session.observe((node, operands) -> {
                traffic.after(node, operands);
                cache.after(node, operands);
            });
            List<float[]> predictions = new ArrayList<>();
            double nats = 0;
            int length = windows.getFirst().length;
            for (int position = prefix; position < length - 1; position++) {
                int at = position;
                int[] tokens = windows.stream().mapToInt(window -> window[at]).toArray();
                Logits logits = session.run(Phase.DECODE, Batch.decode(sequences, tokens));
                for (int i = 0; i < windows.size(); i++) {
                    float[] row = logits.copyOf(i);
                    nats += logSum(row) - row[windows.get(i)[position + 1]];
                    predictions.add(row);
                }
            }
            float[][] all = predictions.toArray(float[][]::new);
            return new Scores(Math.exp(nats / all.length), all, traffic.sparsity(), cache.fraction());
        }
    }

    /** The value below which the share {@code part} of {@code sorted} lies. */
    static double percentile(double[] sorted, double part) {
        return sorted[(int) Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
    }

    private static double divergence(float[] reference, float[] other) {
        double shift = logSum(other) - logSum(reference);
        double norm = logSum(reference);
        double sum = 0;
        for (int i = 0; i < reference.length; i++) {
            sum += Math.exp(reference[i] - norm) * (reference[i] - other[i] + shift);
        }
        // Rounding may leave a sum just below the 0 that it stands for.
        return Math.max(0, sum);
    }

    private static double logSum(float[] logits) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            greatest = Math.max(greatest, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - greatest);
        }
        return greatest + Math.log(sum);
    }
}
