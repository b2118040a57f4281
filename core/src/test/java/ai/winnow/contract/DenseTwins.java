package ai.winnow.contract;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.ir.Attention;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.Phase;
import ai.winnow.ir.SparseAttention;
import ai.winnow.ir.SparseLinear;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Sparse ops that are told to leave nothing out, beside their dense ones: the same bits. */
final class DenseTwins {

    private static final long SEED = 42;

    private final KernelContract contract;
    private final List<Workers> workers;

    DenseTwins(KernelContract contract, List<Workers> workers) {
        this.contract = contract;
        this.workers = workers;
    }

    /** Lists of all keys, in decoding a row a tile and else 64; and what a list names beyond the end of a sequence. */
    void requireAllKeysSame(OpCase dense) {
        Attention attention = (Attention) dense.op();
        KvShape shape = attention.shape();
        KeyLists keys = KeyLists.of(shape, shape.heads(), dense.phase() == Phase.DECODE ? 1 : 64);
        List<OpCase.Given> operands = new ArrayList<>(dense.operands());
        List<TensorSpec> specs =
                keys.specs(operands.get(1).spec(), operands.get(2).spec());
        int pages = shape.pagesPerHead();
        operands.add(1, lists(specs.get(0), (tensor, at) -> tensor.setAtIndex(ValueLayout.JAVA_INT, at, pages)));
        operands.add(
                2,
                lists(specs.get(1), (tensor, at) -> tensor.setAtIndex(ValueLayout.JAVA_INT, at, (int) (at % pages))));
        operands.add(
                3, lists(specs.get(2), (tensor, at) -> tensor.setAtIndex(ValueLayout.JAVA_LONG, at, KeyLists.WHOLE)));
        OpCase sparse = new OpCase(
                "all keys of " + dense,
                new SparseAttention(attention, keys),
                dense.phase(),
                operands,
                dense.extents(),
                dense.tolerance());
        if (!(contract.ask(dense) instanceof Support.Supported one)
                || !(contract.ask(sparse) instanceof Support.Supported other)) {
            requireRefusalAllowed(dense, sparse);
            return;
        }
        try (Arena arena = Arena.ofShared()) {
            List<Tensor> values = dense.inputs(SEED, arena);
            List<Tensor> more = new ArrayList<>(values);
            more.addAll(1, sparse.inputs(SEED, arena).subList(1, 1 + KeyLists.TENSORS));
            PreparedCase a = PreparedCase.of(dense, one, rowMajor(values.size()), values, arena);
            PreparedCase b = PreparedCase.of(sparse, other, rowMajor(more.size()), more, arena);
            a.run(workers.getFirst());
            b.run(workers.getLast());
            assertThat(KernelContract.bits(b)).containsExactlyElementsOf(KernelContract.bits(a));
        }
    }

    private interface EntryWriter {
        void write(MemorySegment tensor, long at);
    }

    private static OpCase.Given lists(TensorSpec spec, EntryWriter entry) {
        return new OpCase.Given(spec, OpCase.Kind.ACTIVATION, (tensor, random) -> {
            for (long at = 0; at < spec.shape().maxElements(); at++) {
                entry.write(tensor.segment(), at);
            }
        });
    }

    private void requireRefusalAllowed(OpCase dense, OpCase sparse) {
        assertThat(contract.refusals().test(dense) || contract.refusals().test(sparse))
                .as("%s refuses %s or %s", contract.provider().name(), dense, sparse)
                .isTrue();
    }

    void requireZeroStrengthSame(OpCase dense, InputSelection selection) {
        boolean bias = ((Linear) dense.op()).bias();
        List<OpCase.Given> operands = new ArrayList<>(dense.operands());
        if (selection.hasOperand()) {
            long in = dense.operands().get(1).spec().shape().max(1);
            Fill fill = selection instanceof InputSelection.ChannelThreshold ? Fill.oneOf(0) : Fill.uniform(0.5, 2);
            operands.add(2, new OpCase.Given(TensorSpec.of(DType.F32, in), OpCase.Kind.WEIGHT, fill));
        }
        OpCase sparse = new OpCase(
                selection + " of " + dense,
                new SparseLinear(selection, bias),
                dense.phase(),
                operands,
                dense.extents(),
                dense.tolerance());
        requireSameBits(dense, sparse, selection.hasOperand());
    }

    void requireFullMaskSame(OpCase dense) {
        boolean bias = ((Linear) dense.op()).bias();
        List<OpCase.Given> operands = new ArrayList<>(dense.operands());
        TensorSpec mask = dense.request().output(0);
        operands.add(2, new OpCase.Given(mask, OpCase.Kind.ACTIVATION, Fill.oneOf(1)));
        OpCase masked = new OpCase(
                "mask of ones on " + dense,
                new MaskedLinear(bias),
                dense.phase(),
                operands,
                dense.extents(),
                dense.tolerance());
        requireSameBits(dense, masked, true);
    }

    /**
     * Requires the same bits in each layout of the weight that both offer.
     *
     * @param extra whether {@code sparse} has one operand more, at index 2
     */
    private void requireSameBits(OpCase dense, OpCase sparse, boolean extra) {
        if (!(contract.ask(dense) instanceof Support.Supported one)
                || !(contract.ask(sparse) instanceof Support.Supported other)) {
            requireRefusalAllowed(dense, sparse);
            return;
        }
        List<Layout> shared = one.layouts(1).stream()
                .filter(layout -> other.layouts(1).contains(layout))
                .toList();
        assertThat(shared).as("layouts shared with the dense kernel").isNotEmpty();
        for (Layout layout : shared) {
            try (Arena arena = Arena.ofShared()) {
                List<Tensor> values = dense.inputs(SEED, arena);
                List<Tensor> more = new ArrayList<>(values);
                if (extra) {
                    more.add(2, sparse.inputs(SEED, arena).get(2));
                }
                PreparedCase a = PreparedCase.of(dense, one, weightIn(layout, values.size()), values, arena);
                PreparedCase b = PreparedCase.of(sparse, other, weightIn(layout, more.size()), more, arena);
                a.run(workers.getFirst());
                b.run(workers.getLast());
                assertThat(KernelContract.bits(b)).as("%s", layout).containsExactlyElementsOf(KernelContract.bits(a));
            }
        }
    }

    private static List<Layout> weightIn(Layout layout, int operands) {
        List<Layout> layouts = rowMajor(operands);
        layouts.set(1, layout);
        return layouts;
    }

    private static List<Layout> rowMajor(int operands) {
        return new ArrayList<>(Collections.nCopies(operands, Layout.ROW_MAJOR));
    }
}
