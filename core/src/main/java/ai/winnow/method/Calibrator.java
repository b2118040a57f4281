package ai.winnow.method;

import ai.winnow.tensor.Tensor;
import java.util.Map;

/** How a method measures a model. Runs offline; what it returns becomes the method's artefact. */
@FunctionalInterface
public interface Calibrator {

    /** Measures, and returns the tensors of the artefact by name. */
    Map<String, Tensor> calibrate(Calibration calibration);
}
