package ai.winnow.architecture;

import ai.winnow.ir.Graph;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.ir.StepLimits;
import java.util.OptionalInt;
import java.util.Set;

/** A model whose configuration and weights have been checked: what it is, and its graphs. Immutable. */
public interface ModelDefinition {

    /** The name of the {@link Architecture}. */
    String family();

    Dimensions dimensions();

    /** The phases there are graphs for. */
    Set<Phase> phases();

    /** The cache that the graphs need: one slot a sequence. */
    KvShape kvShape(StepLimits limits);

    /**
     * The graph of one phase, for just these limits. Inputs: {@link ai.winnow.ir.StandardInputs} and {@link
     * ai.winnow.ir.StandardInputs.Kv}. Outputs: {@code logits F32 [outputs, vocabSize]} and {@code hidden F32 [outputs,
     * hiddenSize]}, the rows asked for after the final norm.
     *
     * @throws ai.winnow.ShapeException if the limits' context is longer than the model has positions
     * @throws IllegalArgumentException if there is no graph for {@code phase}
     */
    Graph graph(Phase phase, StepLimits limits);

    /** The token that begins a text, if the configuration names one. */
    OptionalInt beginToken();

    /** The tokens that end a text. */
    Set<Integer> stopTokens();
}
