package ai.winnow.benchmarks.retrieval;

import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Reads the text of a retrieval model through a window. Of what a row sees while the text is read, only the row before it changes
 * a key or value: what the matching layers find goes into elements that no later layer reads, and changes the norm of a row by a
 * hundred-thousandth. So the cache is the same as after dense reading, in time that grows with the text, not with its square, and
 * many policies can be asked about a long text. A policy that chooses keys in PREFILL itself is refused beside this one.
 */
record WindowedPrefill() implements SparsityMethod {

    static final int ROWS = 64;

    private static final Claim KEYS = new Claim(Role.ATTENTION, Rewrite.Aspect.KEYS);

    /** Whether a policy chooses keys in PREFILL itself. */
    static boolean isRival(SparsityPolicy policy) {
        return policy.methods().stream()
                .flatMap(method -> method.rewrites(Artefact.EMPTY).stream())
                .anyMatch(rewrite -> rewrite.phases().contains(Phase.PREFILL)
                        && rewrite.touches().contains(KEYS));
    }

    /** The policy with this method before it. */
    static SparsityPolicy before(SparsityPolicy policy) {
        return new SparsityPolicy(Stream.concat(Stream.of(new WindowedPrefill()), policy.methods().stream())
                .toList());
    }

    @Override
    public MethodInfo info() {
        return new MethodInfo("windowed-prefill", "reads the text of a retrieval model through a window", "none");
    }

    @Override
    public String spec() {
        return "windowed-prefill";
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        return List.of(new Rewrite(
                Rewrite.Stage.ATTENTION,
                Set.of(Phase.PREFILL),
                Set.of(KEYS),
                graph -> graph.mapOps(node -> node.op() instanceof Attention a
                        ? new Attention(a.shape(), a.layer(), a.queryHeads(), a.scale(), ROWS)
                        : node.op())));
    }
}
