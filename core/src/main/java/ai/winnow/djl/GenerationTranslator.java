package ai.winnow.djl;

import ai.djl.inference.streaming.IteratorBytesSupplier;
import ai.djl.inference.streaming.PublisherBytesSupplier;
import ai.djl.inference.streaming.StreamingTranslator;
import ai.djl.ndarray.BytesSupplier;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.translate.Batchifier;
import ai.djl.translate.Translator;
import ai.djl.translate.TranslatorContext;
import ai.djl.util.passthrough.PassthroughNDArray;
import ai.winnow.decode.Generation;
import ai.winnow.decode.TextStream;
import ai.winnow.djl.GenerationBlock.Prompt;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Stream;

/**
 * From a prompt to what a type of output makes of its text. Without state: the model it is used with says how to generate. Prompts
 * of one {@code batchPredict} are generated together.
 */
abstract sealed class GenerationTranslator<O> implements Translator<String, O> {

    /** What becomes of a text; it may still be growing unless {@link #whole}. */
    abstract O output(TextStream stream);

    /** Whether a prediction waits for the end of the text. */
    boolean whole() {
        return true;
    }

    @Override
    public NDList processInput(TranslatorContext ctx, String input) {
        return new NDList(new Prompt(input, whole()).asArray());
    }

    @Override
    public O processOutput(TranslatorContext ctx, NDList list) {
        return output((TextStream) object(list.singletonOrThrow()));
    }

    @Override
    public Batchifier getBatchifier() {
        return Side.BY_SIDE;
    }

    private static Object object(NDArray array) {
        return ((PassthroughNDArray) array).getObject();
    }

    /** The finished text, or an error if it was cut short by anything but a limit. */
    private static String finished(TextStream stream) {
        Generation generation = stream.join();
        GenerationBlock.requireNotCancelled(stream);
        return generation.text();
    }

    static final class OfString extends GenerationTranslator<String> {
        @Override
        String output(TextStream stream) {
            return finished(stream);
        }
    }

    static final class OfStream extends GenerationTranslator<TextStream> {
        @Override
        TextStream output(TextStream stream) {
            return stream;
        }

        @Override
        boolean whole() {
            return false;
        }
    }

    static final class OfBytes extends GenerationTranslator<BytesSupplier>
            implements StreamingTranslator<String, BytesSupplier> {
        @Override
        BytesSupplier output(TextStream stream) {
            return BytesSupplier.wrap(finished(stream).getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public StreamOutput<BytesSupplier> processStreamOutput(TranslatorContext ctx, Stream<NDList> list) {
            Iterator<String> pieces = list.map(each -> (String) object(each.singletonOrThrow()))
                    .onClose(ctx::close)
                    .iterator();
            return new Pieces(pieces);
        }

        @Override
        public Support getSupport() {
            return Support.BOTH;
        }
    }

    private static final class Pieces extends StreamingTranslator.StreamOutput<BytesSupplier> {
        private final Iterator<String> pieces;

        Pieces(Iterator<String> pieces) {
            this.pieces = pieces;
        }

        @Override
        protected BytesSupplier buildAsyncOutput() {
            return new PublisherBytesSupplier();
        }

        @Override
        protected void computeAsyncOutputInternal(BytesSupplier output) {
            PublisherBytesSupplier publisher = (PublisherBytesSupplier) output;
            try {
                while (pieces.hasNext()) {
                    publisher.appendContent(pieces.next().getBytes(StandardCharsets.UTF_8), false);
                }
            } finally {
                // DJL's publisher knows no errors, and a subscriber waits until the last chunk has come.
                publisher.appendContent(new byte[0], true);
            }
        }

        @Override
        public BytesSupplier getIterativeOutputInternal() {
            return new IteratorBytesSupplier(new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return pieces.hasNext();
                }

                @Override
                public BytesSupplier next() {
                    return BytesSupplier.wrap(pieces.next().getBytes(StandardCharsets.UTF_8));
                }
            });
        }
    }

    /** Puts prompts beside each other: nothing is padded, and each keeps its own length. */
    private enum Side implements Batchifier {
        BY_SIDE;

        @Override
        public NDList batchify(NDList[] inputs) {
            NDList all = new NDList();
            for (NDList each : inputs) {
                all.addAll(each);
            }
            return all;
        }

        @Override
        public NDList[] unbatchify(NDList inputs) {
            return inputs.stream().map(NDList::new).toArray(NDList[]::new);
        }

        @Override
        public NDList[] split(NDList list, int numOfSlices, boolean evenSplit) {
            List<NDList> slices = new ArrayList<>();
            for (NDArray each : list) {
                slices.add(new NDList(each));
            }
            return slices.toArray(NDList[]::new);
        }
    }
}
