package ai.winnow.sparsity.activation.teal;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Phase;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;
import ai.winnow.sparsity.activation.inputs.GreedySearch;
import ai.winnow.sparsity.activation.inputs.InputSparsity;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Zeroes inputs of linear layers whose magnitude is below a threshold of the site (TEAL, section 4.2). The threshold is the
 * quantile {@code sparsity} of the magnitudes that calibration saw there; unlike the authors' code, which takes a signed quantile,
 * it does not ask that they be centred at 0.
 *
 * @param sparsity the share of inputs to skip, in [0, 1)
 * @param mode by threshold, as published, or a fixed number of inputs
 */
public record Teal(float sparsity, Allocation allocation, Mode mode) implements SparsityMethod {

    static final MethodInfo INFO = new MethodInfo(
            "teal",
            "skips inputs of linear layers whose magnitude is small",
            "Liu et al., Training-Free Activation Sparsity in Large Language Models, ICLR 2025, arXiv 2408.14690");

    /** The constants of the authors' search. */
    private static final GreedySearch SEARCH = new GreedySearch(0.05, 0.9, 0.25);

    public Teal {
        if (!(sparsity >= 0 && sparsity < 1)) {
            throw new IncompatiblePolicyException("teal: sparsity must be in [0, 1), not " + sparsity);
        }
    }

    /** The same sparsity for all linear layers. */
    public static Teal uniform(float sparsity) {
        return new Teal(sparsity, Allocation.UNIFORM, Mode.THRESHOLD);
    }

    /** The same sparsity for all layers of the model, divided within each as calibration found best. */
    public static Teal greedy(float sparsity) {
        return new Teal(sparsity, Allocation.GREEDY, Mode.THRESHOLD);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "teal:" + sparsity
                + (allocation == Allocation.UNIFORM ? "" : ",allocation=" + MethodOptions.spell(allocation))
                + (mode == Mode.THRESHOLD ? "" : ",mode=" + MethodOptions.spell(mode));
    }

    @Override
    public Optional<Calibrator> calibrator() {
        return inputs().needsCalibration() ? Optional.of(inputs()::calibrate) : Optional.empty();
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        if (sparsity == 0) {
            return List.of();
        }
        return List.of(new Rewrite(
                Rewrite.Stage.ACTIVATION,
                Set.of(Phase.DECODE),
                InputSparsity.claims(Rewrite.Aspect.INPUTS),
                graph -> inputs().apply(graph, artefact)));
    }

    private InputSparsity inputs() {
        return new InputSparsity("teal/", spec(), sparsity, mode, allocation, Set.of(), SEARCH);
    }
}
