package ai.winnow.method;

import ai.winnow.io.Artefact;
import java.util.List;
import java.util.Optional;

/**
 * A published technique as a record of its parameters. It never asks for a model family, only for sites of the graph, and it is
 * never a kernel: it swaps ops, and kernels are found for those.
 */
public interface SparsityMethod {

    MethodInfo info();

    /** The method with its parameters as a policy spells it, so that {@code parse(spec())} gives an equal method. */
    String spec();

    /** How this method measures what it needs to know of a model; empty if it needs nothing. */
    default Optional<Calibrator> calibrator() {
        return Optional.empty();
    }

    /**
     * The changes to make. At zero strength each returns the graph it was given.
     *
     * @param artefact what {@link #calibrator()} made, or {@link Artefact#EMPTY} if it has none
     * @throws ai.winnow.ArtefactException if the artefact lacks something
     */
    List<Rewrite> rewrites(Artefact artefact);
}
