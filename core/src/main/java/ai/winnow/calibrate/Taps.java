package ai.winnow.calibrate;

import ai.winnow.ir.Graph;
import ai.winnow.ir.Node;
import ai.winnow.ir.Site;
import ai.winnow.ir.Value;
import ai.winnow.method.Calibration.Observer;
import ai.winnow.method.Calibration.Probe;
import ai.winnow.method.Calibration.Tap;
import ai.winnow.runtime.NodeObserver;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Finds the values that probes ask for among the nodes of a planned graph, where an op may have become several nodes: what such a
 * site takes in is the first value it reads from elsewhere, what it gives is the first it makes that is read elsewhere.
 */
final class Taps implements NodeObserver {

    /** An operand of a node to show to an observer: input or output {@code index}. */
    private record Watch(Tap tap, int index, Observer observer) {}

    private final IdentityHashMap<Node, List<Watch>> watches = new IdentityHashMap<>();

    Taps(Graph planned, Map<Probe, Observer> observers) {
        observers.forEach((probe, observer) -> {
            List<Node> nodes = planned.nodes().stream()
                    .filter(node -> node.site().equals(probe.site()))
                    .toList();
            if (nodes.isEmpty()) {
                throw new IllegalArgumentException("the graph has no node at " + probe.site() + " to observe");
            }
            if (probe.tap() == Tap.INPUT) {
                watchInput(nodes, observer);
            } else {
                watchOutput(planned, nodes, observer);
            }
        });
    }

    private void watchInput(List<Node> nodes, Observer observer) {
        Set<Integer> made = new HashSet<>();
        nodes.forEach(node -> node.outputs().forEach(value -> made.add(value.id())));
        for (Node node : nodes) {
            for (int i = 0; i < node.inputs().size(); i++) {
                Value value = node.input(i);
                if (!(value.origin() instanceof Value.Origin.Weight) && !made.contains(value.id())) {
                    watch(node, value, new Watch(Tap.INPUT, i, observer));
                    return;
                }
            }
        }
        throw new IllegalArgumentException(
                "there is no input to observe at " + nodes.getFirst().site());
    }

    private void watchOutput(Graph planned, List<Node> nodes, Observer observer) {
        Site site = nodes.getFirst().site();
        Set<Integer> read = new HashSet<>();
        planned.outputs().forEach(value -> read.add(value.id()));
        planned.nodes().stream().filter(node -> !node.site().equals(site)).forEach(node -> node.inputs()
                .forEach(value -> read.add(value.id())));
        for (Node node : nodes) {
            for (int i = 0; i < node.outputs().size(); i++) {
                Value value = node.outputs().get(i);
                if (read.contains(value.id())) {
                    watch(node, value, new Watch(Tap.OUTPUT, i, observer));
                    return;
                }
            }
        }
        throw new IllegalArgumentException("there is no output to observe at " + site);
    }

    private void watch(Node node, Value value, Watch watch) {
        if (value.spec().dtype() != DType.F32 || value.spec().shape().rank() != 2) {
            throw new IllegalArgumentException(
                    "only F32 [rows, width] can be observed, " + node.site() + " has " + value.spec());
        }
        watches.computeIfAbsent(node, n -> new ArrayList<>()).add(watch);
    }

    @Override
    public void after(Node node, Operands operands) {
        List<Watch> here = watches.get(node);
        if (here != null) {
            for (Watch watch : here) {
                boolean input = watch.tap == Tap.INPUT;
                Tensor tensor = input ? operands.input(watch.index) : operands.output(watch.index);
                watch.observer.accept(tensor, input ? operands.inRows(watch.index) : operands.outRows(watch.index));
            }
        }
    }
}
