package ai.winnow.calibrate;

import ai.winnow.ShapeException;
import ai.winnow.io.Fingerprint;
import java.util.List;

/**
 * What a model is calibrated on: windows of token ids, each run by itself from position 0. Whoever has text cuts it into windows.
 *
 * @param fingerprint says which data these are; it goes into the artefact
 */
public record CalibrationData(List<int[]> windows, String fingerprint) {

    /** @throws ShapeException if there is no window, or one is empty */
    public CalibrationData {
        windows = windows.stream().map(int[]::clone).toList();
        if (windows.isEmpty()) {
            throw new ShapeException("calibration needs at least one window of tokens");
        }
        if (windows.stream().anyMatch(window -> window.length == 0)) {
            throw new ShapeException("a window of calibration data needs at least one token");
        }
    }

    /** Data whose fingerprint is that of its token ids. */
    public static CalibrationData of(List<int[]> windows) {
        Fingerprint fingerprint = new Fingerprint();
        for (int[] window : windows) {
            fingerprint.add(window.length);
            for (int token : window) {
                fingerprint.add(token);
            }
        }
        return new CalibrationData(windows, fingerprint.hex());
    }

    /** Tokens of all windows together. */
    public long tokens() {
        return windows.stream().mapToLong(window -> window.length).sum();
    }

    /**
     * @param vocabSize every token is below it
     * @param contextLength no window is longer
     * @throws ShapeException naming the window and token that do not fit
     */
    void requireFit(int vocabSize, int contextLength) {
        for (int i = 0; i < windows.size(); i++) {
            int[] window = windows.get(i);
            if (window.length > contextLength) {
                throw new ShapeException("window " + i + " of the calibration data has " + window.length
                        + " tokens, the model was loaded for a context of " + contextLength);
            }
            for (int token : window) {
                if (token < 0 || token >= vocabSize) {
                    throw new ShapeException("window " + i + " of the calibration data has token " + token
                            + "; the vocabulary has " + vocabSize);
                }
            }
        }
    }
}
