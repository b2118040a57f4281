package ai.winnow.examples;

import ai.winnow.ir.Linear;
import ai.winnow.ir.Node;
import ai.winnow.ir.Role;
import ai.winnow.runtime.NodeObserver;
import ai.winnow.runtime.SparseModel;
import ai.winnow.runtime.WeightTraffic;
import ai.winnow.tensor.Operands;
import java.util.ArrayList;
import java.util.List;

/** Takes the time of the head, and counts the bytes of weights that steps read. */
final class HeadObserver implements NodeObserver {

    private final WeightTraffic traffic;
    private final List<Double> times = new ArrayList<>();
    private long last;
    private long headBytes;

    HeadObserver(SparseModel model) {
        this.traffic = new WeightTraffic(model);
    }

    @Override
    public void after(Node node, Operands operands) {
        long now = System.nanoTime();
        if (node.site().role() == Role.HEAD && node.op() instanceof Linear) {
            times.add((double) (now - last));
            headBytes = node.input(1).spec().maxBytes();
        }
        traffic.after(node, operands);
        // What the observer does itself is no part of the next node's time.
        last = System.nanoTime();
    }

    double medianNanos() {
        return times.stream().sorted().skip(times.size() / 2).findFirst().orElse(0.0);
    }

    double bytes() {
        return traffic.bytesPerRow();
    }

    double headBytes() {
        return headBytes;
    }
}
