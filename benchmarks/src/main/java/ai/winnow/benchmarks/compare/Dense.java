package ai.winnow.benchmarks.compare;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What sparse kernels run beside: our own dense kernel, and those of peers for the same layer. Many problems in a row want the same one, and a
 * peer may take seconds to pack its weights, so all of it stays open until another one is asked for.
 */
final class Dense implements AutoCloseable {

    private final String name;
    private final Subject ours;
    private final @Nullable Task task;
    private final Map<String, Subject> opened = new LinkedHashMap<>();
    private boolean asked;

    /**
     * @param name equal if the layer is
     * @param ours closed with this
     * @param task what peers are asked to compute, on memory that lives as long as {@code ours}; null if they are not asked
     */
    Dense(String name, Subject ours, @Nullable Task task) {
        this.name = name;
        this.ours = ours;
        this.task = task;
    }

    String name() {
        return name;
    }

    Subject ours() {
        return ours;
    }

    @Nullable
    Task task() {
        return task;
    }

    /** The peers' kernels by their names; not for the caller to close. */
    Map<String, Subject> opened(List<Peer> peers) {
        if (task != null && !asked) {
            asked = true;
            peers.forEach(peer -> peer.open(task).ifPresent(subject -> opened.put(peer.name(), subject)));
        }
        return opened;
    }

    @Override
    public void close() {
        opened.values().forEach(Subject::close); // before the memory that they share with ours
        ours.close();
    }
}
