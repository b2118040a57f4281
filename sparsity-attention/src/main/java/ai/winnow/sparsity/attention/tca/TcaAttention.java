package ai.winnow.sparsity.attention.tca;

import ai.winnow.ArtefactException;
import ai.winnow.IncompatiblePolicyException;
import ai.winnow.io.Artefact;
import ai.winnow.ir.AttendedKeys;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Graph;
import ai.winnow.ir.GraphBuilder;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvRetain;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.ir.Site;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.StandardInputs;
import ai.winnow.ir.Value;
import ai.winnow.method.Calibrator;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.Rewrite.Aspect;
import ai.winnow.method.Rewrite.Claim;
import ai.winnow.method.SparsityMethod;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Context-adaptive attention without training (TCA-Attention): of each block of a prompt a head keeps between one token and all, few of blocks
 * that the latest queries find redundant. Rows of the prompt attend to the tokens kept and to those just before them; afterwards the cache
 * holds the tokens kept only, at their own positions, and decoding is dense over them. Tokens that are decoded stay until the next prompt,
 * which chooses from them, from its own and from the last {@code window} before, never again from what was chosen earlier.
 *
 * <p>The publication's abstract and an outline of its calibration were at hand, no code: the measure of redundancy, the criterion of
 * calibration and the defaults are this library's own.
 *
 * @param tau the share of the attention of a head that its configuration must keep when it is calibrated; 1 for none, which is dense; 0 for
 *     no calibration but {@code mu} and {@code sigma} for every head
 * @param mu binary logarithm of the tokens that most blocks keep, without calibration
 * @param sigma how far blocks differ from that, in powers of two
 * @param block tokens of a block: a power of two from 2 on
 * @param sink the first tokens of a sequence, which are always kept
 * @param window the last tokens of a prompt, which are always kept, and how far rows of the prompt see all
 * @param probes the last rows of a prompt whose attention counts
 */
public record TcaAttention(float tau, float mu, float sigma, int block, int sink, int window, int probes)
        implements SparsityMethod {

    /** Rows of the prompt that share what they see. */
    private static final int TILE = 64;

    /** Tokens that may be kept for their place. */
    static final int MOST = 1 << 28;

    static final MethodInfo INFO = new MethodInfo(
            "tca-attention",
            "keeps of each block of a prompt only the tokens that the latest queries need",
            "You et al., Training-free Context-adaptive Attention for Efficient Long Context Modeling, 2025, arXiv 2512.09238");

    public TcaAttention {
        if (!(tau >= 0 && tau <= 1)) {
            throw new IncompatiblePolicyException("tca-attention: tau is a share of attention from 0 to 1, not " + tau);
        }
        if (Integer.bitCount(block) != 1 || block < 2 || block > 1024) {
            throw new IncompatiblePolicyException(
                    "tca-attention: a block has a power of two of tokens from 2 to 1024, not " + block);
        }
        if (!(mu >= 0 && mu <= Integer.numberOfTrailingZeros(block)) || !(sigma >= 0 && sigma <= 16)) {
            throw new IncompatiblePolicyException("tca-attention: mu lies from 0 to log2(block) and sigma from 0 to 16,"
                    + " not " + mu + " and " + sigma);
        }
        if (sink < 0 || window < 1 || probes < 1 || sink > MOST || window > MOST) {
            throw new IncompatiblePolicyException(
                    "tca-attention: sink is from 0, window and probes from 1 on, the first" + " and the second up to "
                            + MOST + ", not " + sink + ", " + window + " and " + probes);
        }
    }

    /** Calibrated to keep a share of {@code tau} of each head's attention, with blocks of 64. */
    public static TcaAttention of(float tau) {
        return new TcaAttention(tau, 3, 1, 64, 4, 256, 64);
    }

    @Override
    public MethodInfo info() {
        return INFO;
    }

    @Override
    public String spec() {
        return "tca-attention:tau=" + tau + ",mu=" + mu + ",sigma=" + sigma + ",block=" + block + ",sink=" + sink
                + ",window=" + window + ",probes=" + probes;
    }

    @Override
    public Optional<Calibrator> calibrator() {
        return tau == 0 || tau == 1 ? Optional.empty() : Optional.of(new HeadConfigurations(this));
    }

    CoreTokens rule() {
        return new CoreTokens(sink, window);
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        if (tau == 1 || (tau == 0 && uniform().isDense())) {
            return List.of();
        }
        Set<Claim> keys = Set.of(new Claim(Role.ATTENTION, Aspect.KEYS));
        return List.of(
                new Rewrite(Rewrite.Stage.ATTENTION, Set.of(Phase.PREFILL), keys, graph -> sparse(graph, artefact)),
                // Decoding is as it was, but no other method may choose among keys of which some are gone.
                new Rewrite(Rewrite.Stage.ATTENTION, Set.of(Phase.DECODE, Phase.VERIFY), keys, graph -> graph));
    }

    private Configuration uniform() {
        return Configuration.of(block, mu, sigma);
    }

    private Graph sparse(Graph graph, Artefact artefact) {
        if (graph.at(Role.ATTENTION).stream().noneMatch(node -> node.op() instanceof Attention)) {
            throw new IncompatiblePolicyException("tca-attention: this model has no attention over a cache");
        }
        return graph.transform((node, inputs, builder) -> {
            if (node.op() instanceof Attention attention && attention.window() == 0) {
                List<Configuration> configurations = configurations(attention, artefact);
                if (!configurations.stream().allMatch(Configuration::isDense)) {
                    return attend(attention, configurations, node, inputs, builder);
                }
            }
            return builder.add(node.op(), node.site(), inputs);
        });
    }

    private List<Configuration> configurations(Attention attention, Artefact artefact) {
        int heads = attention.shape().heads();
        if (tau == 0) {
            return Collections.nCopies(heads, uniform());
        }
        String name = HeadConfigurations.name(attention.layer());
        Tensor shares = artefact.tensor(name);
        int counts = Integer.numberOfTrailingZeros(block) + 1;
        TensorSpec wanted = TensorSpec.of(DType.F32, heads, counts);
        if (!shares.spec().equals(wanted)) {
            throw new ArtefactException("'" + name + "' must be " + wanted + " for blocks of " + block + ", and is "
                    + shares.spec() + "; calibrate again with this block");
        }
        List<Configuration> configurations = new ArrayList<>();
        for (int head = 0; head < heads; head++) {
            configurations.add(configuration(shares, head, counts, name));
        }
        return configurations;
    }

    private static Configuration configuration(Tensor shares, int head, int counts, String name) {
        List<Float> each = new ArrayList<>();
        double sum = 0;
        boolean fits = true;
        for (int i = 0; i < counts; i++) {
            float share = shares.getFloat((long) head * counts + i);
            fits &= share >= 0 && share <= 1;
            sum += share;
            each.add(share);
        }
        if (!fits || !(Math.abs(sum - 1) < 1e-3)) {
            throw new ArtefactException("'" + name + "' must hold shares of blocks that sum to 1, those of head " + head
                    + " are " + each + "; calibrate again with this model");
        }
        return new Configuration(each);
    }

    private List<Value> attend(
            Attention attention,
            List<Configuration> configurations,
            Node node,
            List<Value> inputs,
            GraphBuilder builder) {
        KvShape shape = attention.shape();
        Site site = Site.of(attention.layer(), Role.OTHER);
        KeyLists kept = KvRetain.lists(shape, inputs.get(1).spec());
        KeyLists seen = KeyLists.of(shape, shape.heads(), TILE);
        AttendedKeys attended =
                new AttendedKeys(attention, kept, probes, AttendedKeys.Reduction.GREATEST, sink + window + block);
        Value importance = builder.add(attended, site, inputs).getFirst();
        List<Value> rows = inputs.subList(1, 4);
        List<Value> operands = new ArrayList<>(List.of(importance));
        operands.addAll(rows);
        operands.addAll(List.of(inputs.get(7), StandardInputs.Kv.settled(builder, shape)));
        SelectCoreTokens select = new SelectCoreTokens(attention, kept, seen, rule(), configurations);
        List<Value> lists = builder.add(select, site, operands);
        List<Value> marks = new ArrayList<>(lists.subList(0, KeyLists.TENSORS));
        marks.addAll(rows);
        marks.add(KvRetain.declare(builder, shape));
        builder.add(new KvRetain(kept, attention.layer(), window), site, marks);
        List<Value> sparse = new ArrayList<>(inputs);
        sparse.addAll(1, lists.subList(KeyLists.TENSORS, 2 * KeyLists.TENSORS));
        return builder.add(new SparseAttention(attention, seen), node.site(), sparse);
    }
}
