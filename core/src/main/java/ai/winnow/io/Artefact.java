package ai.winnow.io;

import ai.winnow.ArtefactException;
import ai.winnow.tensor.Tensor;
import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a calibration produced: thresholds, histograms, rotations, … with all that says where they came from. Nobody closes an
 * artefact: methods hand its tensors on to graphs and plans, which may outlive whoever loaded it, so allocate the tensors in
 * {@code Arena.ofAuto()}, as {@link ArtefactStore#load} does, and the memory goes when the last of them goes.
 *
 * @param method the name of the method that calibrated, such as {@code teal}
 * @param parameters what it was given
 * @param modelFingerprint the weights it looked at ({@link TensorSource#fingerprint})
 * @param dataFingerprint the data it looked at ({@link Fingerprint})
 * @param tensors by name, row-major
 */
public record Artefact(
        String method,
        SortedMap<String, String> parameters,
        String modelFingerprint,
        String dataFingerprint,
        Instant createdAt,
        Map<String, Tensor> tensors) {

    /** No calibration: what a method gets that needs none. */
    public static final Artefact EMPTY = new Artefact("", new TreeMap<>(), "", "", Instant.EPOCH, Map.of());

    private static final String CALIBRATE = "run the calibration and pass what it wrote";

    public Artefact {
        parameters = Collections.unmodifiableSortedMap(new TreeMap<>(parameters));
        tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
    }

    /** Whether there was no calibration. */
    public boolean isEmpty() {
        return method.isEmpty() && tensors.isEmpty();
    }

    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    /**
     * The tensor {@code name}.
     *
     * @throws ArtefactException if there is none; the message says what there is
     */
    public Tensor tensor(String name) {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new ArtefactException(described() + " has no tensor " + Names.quoted(name) + "; "
                    + Names.instead(name, tensors.keySet())
                    + (isEmpty() ? "; " + CALIBRATE : ""));
        }
        return tensor;
    }

    /**
     * This artefact, if it was made for the model with this fingerprint.
     *
     * @throws ArtefactException if it was made for another one, or is {@link #isEmpty empty}
     */
    public Artefact require(String fingerprint) {
        if (isEmpty()) {
            throw new ArtefactException("a calibration for the model with fingerprint " + Names.quoted(fingerprint)
                    + " is needed and none was given; " + CALIBRATE);
        }
        if (!modelFingerprint.equals(fingerprint)) {
            throw new ArtefactException(described() + " was made for the model with fingerprint "
                    + Names.quoted(modelFingerprint) + ", this model has " + Names.quoted(fingerprint)
                    + "; calibrate again with this model, or load the model that the artefact was made for");
        }
        return this;
    }

    @Override
    public String toString() {
        return described() + " " + parameters + ", " + tensors.size() + " tensors, for model " + modelFingerprint;
    }

    private String described() {
        return isEmpty() ? "the empty artefact" : "the " + Names.clipped(method, 60) + " artefact of " + createdAt;
    }
}
