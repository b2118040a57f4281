package ai.winnow.contract;

import ai.winnow.contract.OpCase.Given;
import ai.winnow.contract.OpCase.Kind;
import ai.winnow.ir.Attention;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.PackedAttention;
import ai.winnow.ir.PackedFormat;
import ai.winnow.ir.Phase;
import ai.winnow.kv.PagePacker;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Attending over a cache of which some pages are packed. */
public final class PackedCases {

    private PackedCases() {}

    static List<OpCase> all() {
        List<OpCase> cases = new ArrayList<>();
        KvPacking usual = new KvPacking(0.7f, 0.5f, 32, 64);
        for (DType type : List.of(DType.F32, DType.BF16)) {
            for (int headDim : List.of(8, 20, 64, 96, 128, 160)) {
                for (int group : List.of(1, 4)) {
                    cases.add(attention(Phase.DECODE, decode(2, headDim, type), 2 * group, 0, usual));
                }
            }
            KvStep step = decode(1, 128, type);
            for (int group : List.of(2, 5, 8)) {
                cases.add(attention(Phase.DECODE, step, group, 0, usual));
            }
            for (int window : List.of(1, 70, 300)) {
                cases.add(attention(Phase.DECODE, step, 4, window, usual));
                cases.add(attention(Phase.DECODE, step, 1, window, usual));
                cases.add(attention(Phase.PREFILL, prefill(1, 64, type), 4, window, usual));
            }
            cases.add(attention(Phase.DECODE, step.withFewerPerHead(70), 4, 0, new KvPacking(0, 0.99f, 0, 64)));
            cases.add(attention(Phase.DECODE, step, 4, 0, new KvPacking(0.99f, 0, 0, 64)));
            cases.add(attention(Phase.PREFILL, prefill(2, 128, type), 8, 0, usual));
            cases.add(attention(Phase.PREFILL, prefill(2, 20, type), 2, 0, usual));
        }
        return cases;
    }

    private static KvStep decode(int heads, int headDim, DType type) {
        return KvStep.of(new KvShape(1, heads, headDim, 1, 1, type), List.of(0, 63, 64, 700), List.of(1, 1, 1, 1));
    }

    private static KvStep prefill(int heads, int headDim, DType type) {
        return KvStep.of(new KvShape(1, heads, headDim, 1, 1, type), List.of(0, 300, 70), List.of(33, 70, 1));
    }

    /**
     * @param step the cache already holds the rows that it adds; of those cached before whole pages are packed, but for every third
     */
    public static OpCase attention(Phase phase, KvStep step, int queryHeads, int window, KvPacking packing) {
        KvShape shape = step.shape();
        float scale = (float) (1 / Math.sqrt(shape.headDim()));
        PackedAttention op =
                new PackedAttention(new Attention(shape, step.layer(), queryHeads, scale, window), packing);
        PackedFormat format = op.format();
        List<Given> operands = new ArrayList<>();
        operands.add(new Given(step.rowsOf((long) queryHeads * shape.headDim()), Kind.ACTIVATION, Fill.normal(1)));
        operands.addAll(step.operands(true));
        Given table = operands.get(6);
        operands.set(6, new Given(table.spec(), table.kind(), (tensor, random) -> {
            table.fill().fill(tensor, random);
            packSome(tensor, step);
        }));
        operands.add(new Given(format.spec(), Kind.STATE, (tensor, random) -> fill(tensor, format, random)));
        Map<String, Integer> extents = new HashMap<>(step.extents());
        extents.put(PackedFormat.POOL, packed(step, head -> {}));
        String name = op.name() + " " + phase + " cached " + step.cached() + " + " + step.added() + ", "
                + step.fewerPerHead() + " fewer per head, " + packing;
        return new OpCase(name, op, phase, operands, extents, new Tolerance.OfGreatest(16 + shape.headDim()));
    }

    private interface PageVisitor {
        void visit(long entry);
    }

    private static void packSome(Tensor table, KvStep step) {
        int[] next = {0};
        packed(step, entry -> table.segment().setAtIndex(ValueLayout.JAVA_INT, entry, PackedFormat.entry(next[0]++)));
    }

    /** Visits the entries of the page table whose pages are packed; how many there are. */
    private static int packed(KvStep step, PageVisitor visitor) {
        KvShape shape = step.shape();
        int count = 0;
        for (int sequence = 0; sequence < step.sequences(); sequence++) {
            for (int layer = 0; layer < shape.layers(); layer++) {
                for (int head = 0; head < shape.heads(); head++) {
                    long first = shape.tableIndex(shape.slots() - 1 - sequence, layer, head);
                    for (int page = 0; page < step.cachedOf(sequence, head) / KvShape.PAGE_ROWS; page++) {
                        if (page % 3 != 1) {
                            visitor.visit(first + page);
                            count++;
                        }
                    }
                }
            }
        }
        return count;
    }

    private static void fill(Tensor packed, PackedFormat format, SplittableRandom random) {
        KvShape shape = format.shape();
        PagePacker packer = new PagePacker(format);
        int pages = Math.toIntExact(packed.segment().byteSize() / format.bytes());
        try (Arena arena = Arena.ofConfined()) {
            TensorSpec page = TensorSpec.of(shape.dtype(), 1, KvShape.PAGE_ROWS, shape.headDim());
            Tensor keys = Tensor.allocate(arena, page, Layout.ROW_MAJOR);
            Tensor values = Tensor.allocate(arena, page, Layout.ROW_MAJOR);
            for (int to = 0; to < pages; to++) {
                boolean done = false;
                while (!done) { // few random rows of bf16 have more ties than there is room for
                    Fill.normal(1).fill(keys, random);
                    Fill.normal(1).fill(values, random);
                    done = packer.pack(keys.segment(), values.segment(), 0, packed.segment(), to);
                }
            }
        }
    }
}
