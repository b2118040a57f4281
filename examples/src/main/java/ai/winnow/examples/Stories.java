package ai.winnow.examples;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * Real text: stories of TinyStories' validation split, in two halves that share none.
 *
 * @param calibration to choose thresholds on
 * @param scored to measure what they cost
 */
record Stories(List<String> calibration, List<String> scored) {

    private static final String SEPARATOR = "\n<|endoftext|>\n";

    static Stories load() {
        try (InputStream in = EmbeddedModel.resource("tinystories-valid.txt")) {
            String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
            List<String> stories = List.of(text.strip().split(Pattern.quote(SEPARATOR)));
            int half = stories.size() / 2;
            return new Stories(stories.subList(0, half), stories.subList(half, stories.size()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Stories as windows of exactly {@code length} tokens, each within one story. What is left at a story's end is dropped, so
     * that all windows can be run side by side.
     *
     * @param begin the token that begins every window
     * @param encoder text to tokens, without a beginning token
     */
    static List<int[]> windows(List<String> stories, int begin, int length, Function<String, int[]> encoder) {
        List<int[]> windows = new ArrayList<>();
        for (String story : stories) {
            windows.addAll(windowsOf(encoder.apply(story), begin, length));
        }
        return windows;
    }

    /** Windows of exactly {@code length} tokens, the first of them {@code begin}; what is left at the end is dropped. */
    static List<int[]> windowsOf(int[] tokens, int begin, int length) {
        List<int[]> windows = new ArrayList<>();
        for (int from = 0; from + length - 1 <= tokens.length; from += length - 1) {
            int[] window = new int[length];
            window[0] = begin;
            System.arraycopy(tokens, from, window, 1, length - 1);
            windows.add(window);
        }
        return windows;
    }

    /** {@code count} of {@code windows}, evenly spread. */
    static List<int[]> spread(List<int[]> windows, int count) {
        int[][] chosen = new int[Math.min(count, windows.size())][];
        Arrays.setAll(chosen, i -> windows.get((int) ((long) i * windows.size() / chosen.length)));
        return List.of(chosen);
    }
}
