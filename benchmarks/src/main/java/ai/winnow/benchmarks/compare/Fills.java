package ai.winnow.benchmarks.compare;

import ai.winnow.contract.Fill;
import ai.winnow.contract.OpCase;
import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** The contract's cases with operands of the size and the sparsity that a comparison wants. */
final class Fills {

    /** A prime, so that no two rows of a matrix begin alike. */
    private static final int PERIOD = 1_000_003;

    private Fills() {}

    /** 0 for a share of the elements, else 1. */
    static Fill mask(double zeros) {
        return (tensor, random) -> {
            for (long i = 0; i < tensor.shape().maxElements(); i++) {
                tensor.dtype().setFloat(tensor.segment(), i, random.nextDouble() < zeros ? 0 : 1);
            }
        };
    }

    /** {@code declared} with operand {@code index} filled by {@code fill}. */
    static OpCase with(OpCase declared, int index, Fill fill) {
        return map(declared, (i, given) -> i == index ? new Given(given.spec(), given.kind(), fill) : given);
    }

    /** {@code declared} with the first million random numbers of each weight repeated: making them all takes longer than timing. */
    static OpCase repeating(OpCase declared) {
        return map(
                declared,
                (i, given) -> given.kind() == Kind.WEIGHT
                        ? new Given(given.spec(), given.kind(), repeating(given.fill()))
                        : given);
    }

    private static Fill repeating(Fill fill) {
        return (tensor, random) -> {
            long count = tensor.shape().maxElements();
            if (count <= PERIOD) {
                fill.fill(tensor, random);
                return;
            }
            try (Arena arena = Arena.ofShared()) {
                Tensor few = Tensor.allocate(arena, TensorSpec.of(tensor.dtype(), PERIOD), Layout.ROW_MAJOR);
                fill.fill(few, random);
                repeat(
                        few.segment(),
                        tensor.dtype().bytes(PERIOD),
                        tensor.segment(),
                        tensor.dtype().bytes(count));
            }
        };
    }

    private static void repeat(MemorySegment from, long period, MemorySegment to, long bytes) {
        for (long at = 0; at < bytes; at += period) {
            MemorySegment.copy(from, 0, to, at, Math.min(period, bytes - at));
        }
    }

    private interface Change {
        Given of(int index, Given given);
    }

    private static OpCase map(OpCase declared, Change change) {
        List<Given> operands =
                new ArrayList<>(IntStream.range(0, declared.operands().size())
                        .mapToObj(i -> change.of(i, declared.operands().get(i)))
                        .toList());
        return new OpCase(
                declared.name(), declared.op(), declared.phase(), operands, declared.extents(), declared.tolerance());
    }
}
