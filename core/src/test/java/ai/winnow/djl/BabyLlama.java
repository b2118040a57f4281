package ai.winnow.djl;

import ai.winnow.runtime.ModelOptions;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Objects;

/** The small real model of the tests, its tokenizer, and a text of the kind it was trained on. */
public final class BabyLlama {

    public static final String STORY =
            "Once upon a time, there was a little girl named Lily. She loved to play outside.\n"
                    + "One day, her mom said, \"Lily, it's time for lunch!\" Lily ran home as fast as she could.";

    private BabyLlama() {}

    public static Path folder() {
        try {
            return Path.of(Objects.requireNonNull(BabyLlama.class.getResource("/babyllama-tok361/config.json"))
                            .toURI())
                    .resolveSibling("");
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Quick to load, with room for three sequences. */
    public static ModelOptions options() {
        return ModelOptions.defaults()
                .withWarmUp(false)
                .withContextLength(160)
                .withMaxSequences(3)
                .withMaxStepTokens(32)
                .withThreads(1);
    }
}
