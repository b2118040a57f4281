package ai.winnow.sparsity.activation.cats;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.calibrate.Histogram;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.method.Calibration;
import ai.winnow.method.Calibration.Probe;
import ai.winnow.method.Calibration.Tap;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import ai.winnow.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Zeroes outputs of the gate's nonlinearity whose magnitude does not exceed the layer's threshold, the quantile {@code sparsity}
 * of the magnitudes that calibration saw (CATS, section 3). Where one is zero the row of up is not computed and the column of
 * down not read; the gate itself decides and stays dense. The paper keeps {@code |v| >= t}, its kernels and this {@code |v| > t}.
 *
 * @param sparsity the share of gate outputs to zero, in [0, 1)
 */
public record Cats(float sparsity) implements SparsityMethod {

    static final MethodInfo INFO = new MethodInfo(
            "cats",
            "skips neurons of feed-forward networks whose gate is small",
            "Lee et al., CATS: Contextually-Aware Thresholding for Sparsity in Large Language Models, COLM 2024, arXiv 2404.08763");

    public Cats {
        if (!(sparsity >= 0 && sparsity < 1)) {
            throw new IncompatiblePolicyException("cats: sparsity must be in [0, 1), not " + sparsity);
        }
    }

    public static Cats of(float sparsity) {
        return new Cats(sparsity);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "cats:" + sparsity;
    }

    @Override
    public Optional<Calibrator> calibrator() {
        return sparsity == 0 ? Optional.empty() : Optional.of(Cats::calibrate);
    }

    private static Map<String, Tensor> calibrate(Calibration calibration) {
        Map<Site, Histogram> histograms = GatedNetworks.of(calibration.graph(Phase.PREFILL)).activations().stream()
                .collect(Collectors.toMap(site -> site, site -> new Histogram(), (a, b) -> a, LinkedHashMap::new));
        calibration.observe(histograms.entrySet().stream()
                .collect(Collectors.toMap(entry -> new Probe(entry.getKey(), Tap.OUTPUT), Map.Entry::getValue)));
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        histograms.forEach((site, histogram) -> tensors.put(name(site), histogram.toTensor(calibration.arena())));
        return tensors;
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        if (sparsity == 0) {
            return List.of();
        }
        Set<Claim> claims = Set.of(
                new Claim(Role.ACTIVATION, Aspect.OUTPUTS),
                new Claim(Role.UP, Aspect.OUTPUTS),
                new Claim(Role.DOWN, Aspect.INPUTS));
        return List.of(
                new Rewrite(Rewrite.Stage.ACTIVATION, Set.of(Phase.DECODE), claims, graph -> sparse(graph, artefact)));
    }

    private Graph sparse(Graph graph, Artefact artefact) {
        return GatedNetworks.of(graph).withThresholds(site -> Histogram.of(artefact.tensor(name(site)))
                .quantile(sparsity));
    }

    private static String name(Site activation) {
        return "cats/" + activation.key();
    }
}
