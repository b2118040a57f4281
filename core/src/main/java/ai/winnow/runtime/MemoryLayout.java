package ai.winnow.runtime;

import ai.winnow.ir.Graph;
import ai.winnow.ir.Node;
import ai.winnow.ir.Value;
import ai.winnow.tensor.Tensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the computed values of a graph lie in one stretch of memory: values that are never alive at the same time share room.
 * The largest are placed first, each at the lowest offset that is free during its whole life (greedy by size, Pisarchyk and Lee
 * 2020).
 */
record MemoryLayout(Map<Integer, Long> offsets, long bytes) {

    private record Life(Value value, int first, int last, long bytes) {
        boolean overlaps(Life other) {
            return first <= other.last && other.first <= last;
        }
    }

    private record Placed(Life life, long offset) {
        long end() {
            return offset + life.bytes();
        }
    }

    static MemoryLayout of(Graph graph) {
        List<Placed> placed = new ArrayList<>();
        long bytes = 0;
        for (Life life : lives(graph)) {
            List<Placed> neighbours = placed.stream()
                    .filter(other -> other.life().overlaps(life))
                    .sorted(Comparator.comparingLong(Placed::offset))
                    .toList();
            long offset = 0;
            for (Placed other : neighbours) {
                if (offset + life.bytes() <= other.offset()) {
                    break;
                }
                offset = Math.max(offset, other.end());
            }
            Placed here = new Placed(life, offset);
            placed.add(here);
            bytes = Math.max(bytes, here.end());
        }
        Map<Integer, Long> offsets = new HashMap<>();
        placed.forEach(each -> offsets.put(each.life().value().id(), each.offset()));
        return new MemoryLayout(Map.copyOf(offsets), bytes);
    }

    /** The computed values with the steps between which they are alive, the largest first. */
    private static List<Life> lives(Graph graph) {
        Map<Integer, Integer> lastUse = new HashMap<>();
        List<Node> nodes = graph.nodes();
        for (int i = 0; i < nodes.size(); i++) {
            for (Value value : nodes.get(i).inputs()) {
                lastUse.put(value.id(), i);
            }
        }
        graph.outputs().forEach(value -> lastUse.put(value.id(), nodes.size()));
        List<Life> lives = new ArrayList<>();
        for (int i = 0; i < nodes.size(); i++) {
            for (Value value : nodes.get(i).outputs()) {
                int last = lastUse.getOrDefault(value.id(), i);
                lives.add(new Life(value, i, last, Tensor.align(value.spec().maxBytes())));
            }
        }
        lives.sort(Comparator.comparingLong(Life::bytes).reversed().thenComparingInt(Life::first));
        return lives;
    }
}
