package ai.winnow.runtime;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** What to run: for each of some sequences of a session, the tokens that come next. */
public record Batch(List<Entry> entries) {

    /** The next tokens of one sequence. */
    public record Entry(SequenceId sequence, int[] tokens) {
        public Entry {
            if (tokens.length == 0) {
                throw new IllegalArgumentException("a step needs at least one token of " + sequence);
            }
            tokens = tokens.clone();
        }
    }

    public Batch {
        entries = List.copyOf(entries);
        if (entries.isEmpty()) {
            throw new IllegalArgumentException("a batch needs at least one sequence");
        }
        Set<SequenceId> seen = new HashSet<>();
        for (Entry entry : entries) {
            if (!seen.add(entry.sequence())) {
                throw new IllegalArgumentException(entry.sequence() + " is in the batch twice");
            }
        }
    }

    public static Batch of(SequenceId sequence, int... tokens) {
        return new Batch(List.of(new Entry(sequence, tokens)));
    }

    /** One token for each sequence. */
    public static Batch decode(List<SequenceId> sequences, int[] tokens) {
        List<Entry> entries = new ArrayList<>();
        for (int i = 0; i < tokens.length; i++) {
            entries.add(new Entry(sequences.get(i), new int[] {tokens[i]}));
        }
        return new Batch(entries);
    }
}
