package ai.winnow.benchmarks.compare;

import java.util.Optional;

/** Another library that computes the same. */
interface Peer extends AutoCloseable {

    String name();

    /** The task as this library is fastest, on as many copies of its operands as ours; nothing where it has no such kernel. */
    Optional<Subject> open(Task task);

    @Override
    void close();
}
