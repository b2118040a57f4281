package ai.winnow.djl;

import ai.djl.Model;
import ai.djl.ndarray.BytesSupplier;
import ai.djl.translate.TranslateException;
import ai.djl.translate.Translator;
import ai.djl.translate.TranslatorFactory;
import ai.djl.util.Pair;
import ai.winnow.decode.TextStream;
import java.lang.reflect.Type;
import java.util.Map;
import java.util.Set;

/**
 * Translators for text generation: a prompt of type {@code String}, and of the text
 *
 * <ul>
 *   <li>{@code String}: the whole;
 *   <li>{@link TextStream}: {@code predict} returns at once, and the stream gives the pieces as they come;
 *   <li>{@link BytesSupplier}: the whole in UTF-8, and with {@code streamingPredict} DJL's own streams: {@link
 *       ai.djl.inference.streaming.IteratorBytesSupplier} (iterative) and {@link
 *       ai.djl.inference.streaming.PublisherBytesSupplier} (async).
 * </ul>
 *
 * DJL asks no engine for its translators, so a {@code Criteria} names this one: {@code optTranslatorFactory(new
 * GenerationTranslatorFactory())}; {@link Winnow#criteria} has done so. In {@code serving.properties} it is {@code
 * translatorFactory=ai.winnow.djl.GenerationTranslatorFactory}.
 */
public final class GenerationTranslatorFactory implements TranslatorFactory {

    private static final Set<Pair<Type, Type>> TYPES = Set.of(
            new Pair<>(String.class, String.class),
            new Pair<>(String.class, TextStream.class),
            new Pair<>(String.class, BytesSupplier.class));

    @Override
    public Set<Pair<Type, Type>> getSupportedTypes() {
        return TYPES;
    }

    @Override
    public <I, O> Translator<I, O> newInstance(Class<I> input, Class<O> output, Model model, Map<String, ?> arguments)
            throws TranslateException {
        if (!(model instanceof WinnowModel ours)) {
            throw new TranslateException("generation is a matter of engine " + WinnowEngine.NAME
                    + "; load the model with optEngine(\"" + WinnowEngine.NAME + "\")");
        }
        if (input != String.class) {
            throw new TranslateException("a prompt is a String, not a " + input.getName());
        }
        // A missing tokenizer is found now rather than at the first prediction.
        ours.codec();
        GenerationTranslator<?> translator;
        if (output == String.class) {
            translator = new GenerationTranslator.OfString();
        } else if (output == TextStream.class) {
            translator = new GenerationTranslator.OfStream();
        } else if (output == BytesSupplier.class) {
            translator = new GenerationTranslator.OfBytes();
        } else {
            throw new TranslateException(
                    "text comes as String, TextStream or BytesSupplier, not as " + output.getName());
        }
        @SuppressWarnings("unchecked") // The branches above checked both types.
        Translator<I, O> checked = (Translator<I, O>) translator;
        return checked;
    }
}
