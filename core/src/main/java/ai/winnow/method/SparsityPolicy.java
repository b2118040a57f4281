package ai.winnow.method;

import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphCheck;
import ai.winnow.ir.Phase;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The methods to apply to a model, in order. From code ({@link #of}), or from text ({@link #parse}): methods joined with {@code
 * +}, each a name and, after a colon, options {@code key=value} joined with commas; a first option without a key is the sparsity:
 * {@code "teal:0.5"}, {@code "cats:0.5 + wina:sparsity=0.4,mode=threshold"}. {@code "dense"} is the empty policy.
 */
public record SparsityPolicy(List<SparsityMethod> methods) {

    private static final int MAX_TEXT = 4096;

    public SparsityPolicy {
        methods = List.copyOf(methods);
        Set<String> names = new HashSet<>();
        for (SparsityMethod method : methods) {
            if (!names.add(method.info().name())) {
                throw new IncompatiblePolicyException(
                        "the policy names " + method.info().name() + " twice");
            }
        }
    }

    /** The policy that changes nothing. */
    public static SparsityPolicy dense() {
        return new SparsityPolicy(List.of());
    }

    public static SparsityPolicy of(SparsityMethod... methods) {
        return new SparsityPolicy(List.of(methods));
    }

    /**
     * The policy that {@code text} spells.
     *
     * @param providers the methods there are, usually those found by {@code ServiceLoader}
     * @throws IncompatiblePolicyException naming what is unknown or out of range
     */
    public static SparsityPolicy parse(String text, Iterable<? extends MethodProvider> providers) {
        if (text.length() > MAX_TEXT) {
            throw new IncompatiblePolicyException("a policy of " + text.length() + " characters; at most " + MAX_TEXT);
        }
        if (text.isBlank() || text.strip().equals("dense")) {
            return dense();
        }
        List<SparsityMethod> methods = new ArrayList<>();
        for (String part : text.split("\\+", -1)) {
            String spec = part.strip();
            int colon = spec.indexOf(':');
            String name = colon < 0 ? spec : spec.substring(0, colon).strip();
            MethodOptions options = new MethodOptions(name, options(name, colon < 0 ? "" : spec.substring(colon + 1)));
            SparsityMethod method = provider(name, providers).parse(options);
            options.done();
            methods.add(method);
        }
        return new SparsityPolicy(methods);
    }

    private static Map<String, String> options(String method, String text) {
        Map<String, String> options = new LinkedHashMap<>();
        if (text.isBlank()) {
            return options;
        }
        for (String part : text.split(",", -1)) {
            int equals = part.indexOf('=');
            if (equals < 0 && !options.isEmpty()) {
                throw new IncompatiblePolicyException(method + ": '" + part.strip()
                        + "' has no key; only the first option may leave it out, and is the sparsity");
            }
            String key = equals < 0 ? "sparsity" : part.substring(0, equals).strip();
            if (options.put(key, part.substring(equals + 1).strip()) != null) {
                throw new IncompatiblePolicyException(method + ": option '" + key + "' is given twice");
            }
        }
        return options;
    }

    private static MethodProvider provider(String name, Iterable<? extends MethodProvider> providers) {
        List<String> known = new ArrayList<>();
        for (MethodProvider provider : providers) {
            if (provider.info().name().equals(name)) {
                return provider;
            }
            known.add(provider.info().name());
        }
        throw new IncompatiblePolicyException("there is no method '" + name + "' on the class path; found "
                + known.stream().sorted().toList() + ". Each module winnow-sparsity-… brings its methods.");
    }

    /**
     * Applies all rewrites, stage by stage, to the graphs of all phases. Every rewritten graph is checked.
     *
     * @param artefacts the artefact of each method that has a calibrator
     * @throws IncompatiblePolicyException if two methods lay claim to the same sites
     */
    public Map<Phase, Graph> apply(Map<Phase, Graph> graphs, Function<SparsityMethod, Artefact> artefacts) {
        record Owned(SparsityMethod method, Rewrite rewrite) {}
        List<Owned> rewrites = methods.stream()
                .flatMap(method ->
                        method.rewrites(artefacts.apply(method)).stream().map(rewrite -> new Owned(method, rewrite)))
                .sorted(Comparator.comparing(owned -> owned.rewrite().stage()))
                .toList();
        Map<Phase, Map<Rewrite.Claim, SparsityMethod>> claims = new EnumMap<>(Phase.class);
        for (Owned owned : rewrites) {
            for (Phase phase : owned.rewrite().phases()) {
                for (Rewrite.Claim claim : owned.rewrite().touches()) {
                    SparsityMethod other =
                            claims.computeIfAbsent(phase, p -> new HashMap<>()).put(claim, owned.method());
                    if (other != null && !other.equals(owned.method())) {
                        throw new IncompatiblePolicyException(other.info().name() + " and "
                                + owned.method().info().name() + " both choose the " + claim.aspect() + " of "
                                + claim.role() + " in " + phase + "; use one of them");
                    }
                }
            }
        }
        Map<Phase, Graph> changed = new EnumMap<>(graphs);
        for (Owned owned : rewrites) {
            changed.replaceAll((phase, graph) -> {
                if (!owned.rewrite().phases().contains(phase)) {
                    return graph;
                }
                Graph result = owned.rewrite().change().apply(graph);
                GraphCheck.check(result, owned.method().spec());
                return result;
            });
        }
        return changed;
    }

    /** The text that {@link #parse} takes. */
    @Override
    public String toString() {
        return methods.isEmpty()
                ? "dense"
                : methods.stream().map(SparsityMethod::spec).collect(Collectors.joining(" + "));
    }
}
