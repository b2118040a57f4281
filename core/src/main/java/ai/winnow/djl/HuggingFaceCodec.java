package ai.winnow.djl;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.winnow.ArtefactException;
import ai.winnow.UnsupportedModelException;
import ai.winnow.decode.TextCodec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Supplier;

/**
 * A Hugging Face {@code tokenizer.json} as a codec, through DJL's tokenizers. Works offline. Which special tokens are put around a
 * text is what the file says.
 */
public final class HuggingFaceCodec implements TextCodec, AutoCloseable {

    /** The file of a checkpoint that is read. */
    public static final String FILE_NAME = "tokenizer.json";

    /** What has to be on the class path. */
    static final String COORDINATE = "ai.djl.huggingface:tokenizers";

    // DJL's defaults cut texts at 512 tokens.
    private static final Map<String, String> WHOLE_TEXTS = Map.of("truncation", "false", "padding", "false");

    private final HuggingFaceTokenizer tokenizer;
    private final TokenizerVocabulary vocabulary;

    /** Many may encode and decode, but not while the native tokenizer is freed: that would end the process. */
    private final ReadWriteLock lock = new ReentrantReadWriteLock();

    private HuggingFaceCodec(HuggingFaceTokenizer tokenizer, TokenizerVocabulary vocabulary) {
        this.tokenizer = tokenizer;
        this.vocabulary = vocabulary;
    }

    /**
     * Opens the tokenizer of the checkpoint in {@code folder}.
     *
     * @throws ArtefactException if there is no {@value #FILE_NAME}, or it cannot be read
     * @throws UnsupportedModelException if DJL's tokenizers are not on the class path, or their native library cannot be loaded
     */
    public static HuggingFaceCodec open(Path folder) {
        Path file = folder.resolve(FILE_NAME);
        if (!Files.isRegularFile(file)) {
            throw new ArtefactException(
                    file + ": there is no such file; text needs the checkpoint's tokenizer in Hugging"
                            + " Face's format. Copy it there, or work with tokens");
        }
        TokenizerVocabulary vocabulary = TokenizerVocabulary.read(file);
        try {
            return new HuggingFaceCodec(HuggingFaceTokenizer.newInstance(file, WHOLE_TEXTS), vocabulary);
        } catch (LinkageError e) {
            throw unavailable(e);
        } catch (IOException | RuntimeException e) {
            throw new ArtefactException(file + ": cannot be read as a tokenizer: " + e.getMessage(), e);
        }
    }

    private static UnsupportedModelException unavailable(LinkageError e) {
        if (e instanceof NoClassDefFoundError && e.getCause() instanceof ClassNotFoundException) {
            return new UnsupportedModelException(
                    "text needs a tokenizer: add the dependency " + COORDINATE + " (on the module path also"
                            + " --add-modules ai.djl.tokenizers); missing is " + e.getMessage(),
                    e);
        }
        Throwable root = e;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return new UnsupportedModelException(
                "the native library of " + COORDINATE + " cannot be loaded here: " + root
                        + "; it needs glibc, and a cache folder (DJL_CACHE_DIR) that allows code to be loaded from it",
                e);
    }

    @Override
    public int vocabSize() {
        return vocabulary.size();
    }

    @Override
    public int[] encode(String text) {
        long[] ids = using(() -> tokenizer.encode(text, true, false).getIds());
        int[] tokens = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            tokens[i] = Math.toIntExact(ids[i]);
        }
        return tokens;
    }

    @Override
    public String decode(int[] tokens) {
        long[] ids = new long[tokens.length];
        for (int i = 0; i < tokens.length; i++) {
            ids[i] = tokens[i];
        }
        return using(() -> tokenizer.decode(ids, true));
    }

    @Override
    public boolean isSpecial(int token) {
        return vocabulary.special().contains(token);
    }

    private <T> T using(Supplier<T> call) {
        lock.readLock().lock();
        try {
            return call.get();
        } finally {
            lock.readLock().unlock();
        }
    }

    /** Frees the native tokenizer. Later calls throw IllegalStateException. */
    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            tokenizer.close();
        } finally {
            lock.writeLock().unlock();
        }
    }
}
