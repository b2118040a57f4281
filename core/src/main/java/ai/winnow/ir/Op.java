package ai.winnow.ir;

import ai.winnow.tensor.TensorSpec;
import java.util.List;

/** What a node computes. Ops are records: equal parameters, equal ops. */
public sealed interface Op permits Primitive, Fused {

    /** The op's name with its parameters, as {@code explain()} prints it. */
    default String name() {
        return toString();
    }

    /**
     * The specs of the outputs.
     *
     * @throws ai.winnow.ShapeException if the inputs do not fit the op or one another
     */
    List<TensorSpec> infer(List<TensorSpec> inputs);

    /**
     * The name of the value that becomes output {@code index} of this op at {@code site}. An op that makes an extent gives it the
     * name by which {@link ai.winnow.tensor.Dim.AtMost} speaks of it.
     */
    default String outputName(int index, Site site) {
        return site.key();
    }

    /** Whether running this op changes state that outlives the step, so that it must run even if nobody reads its outputs. */
    default boolean writesState() {
        return false;
    }
}
