package ai.winnow.method;

import ai.winnow.ir.Graph;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Site;
import ai.winnow.ir.WeightRef;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** A model and calibration data, as a {@link Calibrator} sees them. */
public interface Calibration {

    /** Number of layers of the model. */
    int layers();

    /** The model's graph before any rewrite but those it is calibrated {@linkplain #under under}. */
    Graph graph(Phase phase);

    /** Where the tensors that a calibrator returns are to be allocated. */
    Arena arena();

    /**
     * Runs the model over all calibration data once and shows each observer what it asked for, in the data's order; a window
     * that is longer than a step comes in pieces.
     *
     * @throws IllegalArgumentException if the graph has no such site, or nothing to observe there
     */
    void observe(Map<Probe, Observer> observers);

    /** A weight of the model, row-major and in f32. The caller's arena keeps it. */
    Tensor weight(WeightRef ref, Arena arena);

    /**
     * Runs the nodes of one layer on the inputs that the model gives that layer, once as they are and once under {@code
     * change}, and returns how far the outputs are apart: the L2 norm of the difference over the last {@code lastFraction} of
     * the positions of each window (at least one), averaged over windows and channels. Ask for all of one layer before the next:
     * inputs and dense outputs of a single layer are kept.
     */
    double layerError(int layer, UnaryOperator<Graph> change, double lastFraction);

    /**
     * The same calibration of a changed model: what is observed, and which layers run, is what {@code rewrites} make of it.
     *
     * @param tensors what the rewritten graphs read as {@link WeightRef.Source#ARTEFACT}, by name
     */
    Calibration under(List<Rewrite> rewrites, Map<String, Tensor> tensors);

    /** Says how far a calibrator is; the log has a line now and then if it takes long. */
    void progress(String what, long done, long of);

    /** A value to observe. */
    record Probe(Site site, Tap tap) {}

    /** Which value of a node. */
    enum Tap {
        /** Its first input that is not a weight. */
        INPUT,
        /** Its first output. */
        OUTPUT
    }

    /** Sees the observed value of each calibration window. */
    @FunctionalInterface
    interface Observer {
        /** @param values F32 {@code [rows, width]}, valid during the call only; of its rows the first {@code rows} count */
        void accept(Tensor values, int rows);

        /** The window of which this was shown the last pieces has ended. */
        default void windowEnds() {}
    }
}
