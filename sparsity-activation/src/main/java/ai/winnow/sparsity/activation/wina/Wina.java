package ai.winnow.sparsity.activation.wina;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.method.Calibration;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.Rewrite.Stage;
import ai.winnow.method.SparsityMethod;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;
import ai.winnow.sparsity.activation.inputs.GreedySearch;
import ai.winnow.sparsity.activation.inputs.InputSparsity;
import ai.winnow.tensor.Tensor;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Skips the inputs with the least {@code |x_j| * ||W[:,j]||} (WINA, section 3). The default is that of the released runs: top-k
 * masks, norms for key and gate, and all weights rotated; their per-layer search is an option here as it is in {@code Teal}.
 *
 * @param sparsity the share of inputs to skip, in [0, 1)
 * @param rotate whether to rotate the weights when calibrating; it costs a copy of all weights, a head of its own where it was
 *     tied to the embedding, and two dense products {@code [hidden, hidden]} a layer
 */
public record Wina(float sparsity, Mode mode, Norms norms, boolean rotate, Allocation allocation)
        implements SparsityMethod {

    static final MethodInfo INFO = new MethodInfo(
            "wina",
            "skips inputs of linear layers whose magnitude times the norm of their column is small",
            "Chen et al., WINA: Weight Informed Neuron Activation for Accelerating Large Language Model Inference, ICLR 2026, arXiv 2505.19427");

    /** What a rotated model is besides. */
    private static final MethodInfo ROTATED = new MethodInfo(
            INFO.name(),
            INFO.title() + "; weights rotated: the head is not tied to the embedding, two dense products more a layer",
            INFO.paper());

    /** The constants of the authors' search. */
    private static final GreedySearch SEARCH = new GreedySearch(0.025, 0.66, 0.25);

    public Wina {
        if (!(sparsity >= 0 && sparsity < 1)) {
            throw new IncompatiblePolicyException("wina: sparsity must be in [0, 1), not " + sparsity);
        }
    }

    /** As in the released runs, with the same sparsity for all linear layers. */
    public static Wina of(float sparsity) {
        return new Wina(sparsity, Mode.TOPK, Norms.KEY_GATE, true, Allocation.UNIFORM);
    }

    /** Equally many inputs for every token. */
    public static Wina topK(float sparsity) {
        return of(sparsity);
    }

    /** Inputs whose score exceeds a threshold; faster to choose. */
    public static Wina threshold(float sparsity) {
        return new Wina(sparsity, Mode.THRESHOLD, Norms.KEY_GATE, true, Allocation.UNIFORM);
    }

    /** The same without the rotation. */
    public Wina unrotated() {
        return new Wina(sparsity, mode, norms, false, allocation);
    }

    @Override
    public MethodInfo info() {
        return rotate && sparsity > 0 ? ROTATED : INFO;
    }

    @Override
    public String spec() {
        return "wina:" + sparsity
                + (mode == Mode.TOPK ? "" : ",mode=" + MethodOptions.spell(mode))
                + (rotate ? "" : ",rotate=false")
                + (norms == Norms.KEY_GATE ? "" : ",norms=" + MethodOptions.spell(norms))
                + (allocation == Allocation.UNIFORM ? "" : ",allocation=" + MethodOptions.spell(allocation));
    }

    @Override
    public Optional<Calibrator> calibrator() {
        boolean needed = sparsity > 0 && (rotate || inputs().needsCalibration());
        return needed ? Optional.of(this::calibrate) : Optional.empty();
    }

    private Map<String, Tensor> calibrate(Calibration dense) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        Calibration calibration = dense;
        if (rotate) {
            tensors.putAll(Rotation.compute(dense));
            calibration = dense.under(List.of(rotation()), tensors);
        }
        tensors.putAll(inputs().calibrate(calibration));
        return tensors;
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        if (sparsity == 0) {
            return List.of();
        }
        Rewrite skip = new Rewrite(
                Stage.ACTIVATION, Set.of(Phase.DECODE), InputSparsity.claims(Aspect.INPUTS), graph -> inputs().apply(
                                graph, artefact));
        if (!rotate) {
            return List.of(skip);
        }
        if (!artefact.isEmpty() && !Rotation.isIn(artefact)) {
            throw new ArtefactException(spec() + " needs rotated weights, which an artefact calibrated with "
                    + artefact.parameters() + " does not have; calibrate again, or run with rotate=false");
        }
        return List.of(rotation(), skip);
    }

    /** Dense and rotated weights cannot share a cache: all phases are rotated. */
    static Rewrite rotation() {
        Set<Claim> claims = new HashSet<>(InputSparsity.claims(Aspect.WEIGHT));
        for (Role role : List.of(Role.TOKEN_EMBED, Role.ATTENTION_NORM, Role.MLP_NORM, Role.FINAL_NORM, Role.HEAD)) {
            claims.add(new Claim(role, Aspect.WEIGHT));
        }
        return new Rewrite(Stage.WEIGHT, Set.of(Phase.PREFILL, Phase.DECODE, Phase.VERIFY), claims, Rotation::rewrite);
    }

    private InputSparsity inputs() {
        String prefix = "wina/" + (rotate ? "rotated" : "plain") + "/" + MethodOptions.spell(norms) + "/";
        return new InputSparsity(prefix, spec(), sparsity, mode, allocation, norms.roles(), SEARCH);
    }
}
