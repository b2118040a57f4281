package ai.winnow.benchmarks.compare;

import ai.winnow.tensor.DType;
import java.util.Optional;

/** Another library that computes the same. Nothing where it has no such kernel. */
interface Peer extends AutoCloseable {

    String name();

    /** {@code x [rows, in]} times a weight of {@code type}, as this library is fastest. */
    Optional<Subject> linear(LinearProblem problem, DType type);

    /** Attention of one new token over a context. */
    Optional<Subject> attention(AttentionProblem problem);

    @Override
    void close();
}
