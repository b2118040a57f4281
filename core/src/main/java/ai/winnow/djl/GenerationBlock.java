package ai.winnow.djl;

import ai.djl.inference.streaming.StreamingBlock;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.AbstractSymbolBlock;
import ai.djl.nn.ParameterList;
import ai.djl.training.ParameterStore;
import ai.djl.util.PairList;
import ai.djl.util.passthrough.PassthroughNDArray;
import ai.winnow.OverloadedException;
import ai.winnow.decode.FinishReason;
import ai.winnow.decode.TextStream;
import ai.winnow.ir.Phase;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.Logits;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import java.lang.ref.Cleaner;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CancellationException;
import org.jspecify.annotations.Nullable;

/**
 * What predictors call. Prompts of our own translators go in as objects and come out as {@link TextStream}s. Token ids of a user's
 * translator, integers {@code [tokens]} or {@code [batch, tokens]}, give the logits after the last of them, F32 {@code [batch, 1,
 * vocabSize]}: what a causal language model's translator looks at.
 */
final class GenerationBlock extends AbstractSymbolBlock implements StreamingBlock, AutoCloseable {

    /**
     * A prompt on its way from a translator to the decoder.
     *
     * @param whole whether the step ends only when the text is finished, so that DJL's metrics time it
     */
    record Prompt(String text, boolean whole) {

        NDArray asArray() {
            return new PassthroughNDArray(this);
        }
    }

    private static final Cleaner CLEANER = Cleaner.create();

    private final WinnowModel model;
    private final Object scoring = new Object();
    private @Nullable Session session;

    GenerationBlock(WinnowModel model) {
        this.model = model;
    }

    @Override
    protected NDList forwardInternal(
            ParameterStore parameterStore, NDList inputs, boolean training, @Nullable PairList<String, Object> params) {
        if (inputs.head() instanceof PassthroughNDArray array && array.getObject() instanceof Prompt) {
            return generate(inputs);
        }
        if (inputs.size() != 1) {
            throw new UnsupportedOperationException(
                    "engine Winnow takes token ids and nothing else, [tokens] or [batch,"
                            + " tokens]; the translator gave " + inputs.size() + " arrays");
        }
        return new NDList(logits(inputs.head()));
    }

    private NDList generate(NDList prompts) {
        NDList results = new NDList();
        List<TextStream> streams = new ArrayList<>();
        try {
            for (NDArray input : prompts) {
                streams.add(submit(prompt(input), streams));
            }
            for (int i = 0; i < streams.size(); i++) {
                if (prompt(prompts.get(i)).whole()) {
                    streams.get(i).join();
                }
                results.add(new PassthroughNDArray(streams.get(i)));
            }
            return results;
        } catch (RuntimeException e) {
            streams.forEach(TextStream::cancel);
            throw e;
        }
    }

    /** Where a batch is larger than the queue, its later prompts wait for its {@code earlier} ones. */
    private TextStream submit(Prompt prompt, List<TextStream> earlier) {
        for (TextStream stream : earlier) {
            try {
                return submit(prompt);
            } catch (OverloadedException e) {
                stream.join();
            }
        }
        return submit(prompt);
    }

    private TextStream submit(Prompt prompt) {
        return model.decoder().submit(prompt.text(), model.options().generation());
    }

    @Override
    public Iterator<NDList> forwardStreamIter(
            ParameterStore parameterStore, NDList inputs, boolean training, @Nullable PairList<String, Object> params) {
        if (inputs.size() != 1) {
            throw new UnsupportedOperationException("a stream is the text of one prompt, found " + inputs.size());
        }
        TextStream stream = submit(prompt(inputs.head()));
        Pieces pieces = new Pieces(stream);
        // DJL has no way to say that nobody reads any more; a stream that is dropped shall not hold its pages.
        CLEANER.register(pieces, stream::cancel);
        return pieces;
    }

    private static final class Pieces implements Iterator<NDList> {
        private final TextStream stream;
        private final Iterator<String> texts;

        Pieces(TextStream stream) {
            this.stream = stream;
            this.texts = stream.iterator();
        }

        @Override
        public boolean hasNext() {
            boolean more = texts.hasNext();
            if (!more) {
                requireNotCancelled(stream);
            }
            return more;
        }

        @Override
        public NDList next() {
            return new NDList(new PassthroughNDArray(texts.next()));
        }
    }

    /** A text that was cut short must not look like a whole one. */
    static void requireNotCancelled(TextStream stream) {
        if (stream.finishReason().orElse(null) == FinishReason.CANCELLED) {
            throw new CancellationException("the generation was cancelled, or the model closed");
        }
    }

    private static Prompt prompt(NDArray array) {
        if (array instanceof PassthroughNDArray holder && holder.getObject() instanceof Prompt prompt) {
            return prompt;
        }
        throw new UnsupportedOperationException(
                "engine Winnow generates from text; take the translators of GenerationTranslatorFactory");
    }

    private NDArray logits(NDArray ids) {
        Shape shape = ids.getShape();
        if (shape.dimension() < 1 || shape.dimension() > 2 || shape.size() == 0) {
            throw new IllegalArgumentException("expected token ids [tokens] or [batch, tokens], found " + shape);
        }
        int[] tokens = tokens(ids);
        int rows = shape.dimension() == 1 ? 1 : Math.toIntExact(shape.get(0));
        int length = tokens.length / rows;
        int vocabSize = model.sparse().definition().dimensions().vocabSize();
        float[] result = new float[rows * vocabSize];
        synchronized (scoring) {
            for (int row = 0; row < rows; row++) {
                float[] logits = score(Arrays.copyOfRange(tokens, row * length, (row + 1) * length));
                System.arraycopy(logits, 0, result, row * vocabSize, vocabSize);
            }
        }
        NDManager manager = ids.getManager();
        return manager.create(result, new Shape(rows, 1, vocabSize));
    }

    private float[] score(int[] tokens) {
        Session open = session;
        if (open == null) {
            open = model.sparse().newSession();
            session = open;
        }
        SequenceId sequence = open.open();
        try {
            Logits logits = open.run(Phase.PREFILL, Batch.of(sequence, tokens));
            return logits.copyOf(0);
        } finally {
            open.close(sequence);
        }
    }

    private static int[] tokens(NDArray ids) {
        return switch (ids.getDataType()) {
            case INT32 -> ids.toIntArray();
            case INT64 ->
                Arrays.stream(ids.toLongArray()).mapToInt(Math::toIntExact).toArray();
            default -> throw new IllegalArgumentException("token ids are INT32 or INT64, found " + ids.getDataType());
        };
    }

    @Override
    public ParameterList getDirectParameters() {
        return new ParameterList();
    }

    @Override
    public void close() {
        synchronized (scoring) {
            if (session != null) {
                session.close();
                session = null;
            }
        }
    }
}
