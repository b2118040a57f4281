package ai.winnow.ir;

import ai.winnow.tensor.DType;
import ai.winnow.tensor.Dim;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Says which of its cached rows each key-value head of a layer keeps when the step has succeeded; the session then drops the others for good
 * ({@code ai.winnow.kv.KvCache#retain}), so a step that fails drops none. Inputs: the three tensors of {@link KeyLists}, {@code sequence,
 * indptr, slots} of {@link StandardInputs}, and {@code marks} ({@link #declare}). Of a prompt that is run in pieces the last piece decides.
 *
 * <p>Only for layers without a window: rows behind one that was dropped are nearer to one another than their positions are.
 *
 * @param keys one tile for all rows that a sequence has in the step, a list a key-value head; rows of this step may be named
 * @param recent how many of the last rows of a head are kept for their place only: a later step decides about them
 */
public record KvRetain(KeyLists keys, int layer, int recent) implements Fused.Defined {

    private static final String MARKS = "kv.marks";

    /** Where {@code marks} is among the inputs. */
    private static final int AT = KeyLists.TENSORS + 3;

    public KvRetain {
        KeyLists given = keys;
        int last = recent;
        Inference.require(last >= 0, () -> "there cannot be " + last + " recent rows");
        Inference.require(
                given.lists() == given.shape().heads(),
                () -> "a head keeps the rows of one list, there are " + given.lists() + " lists for "
                        + given.shape().heads() + " heads");
    }

    /** Lists as this op takes them: of all rows that a sequence may have in a step of {@code sequence}. */
    public static KeyLists lists(KvShape shape, TensorSpec sequence) {
        int rows = Math.toIntExact(sequence.shape().rowDim().max());
        return KeyLists.of(shape, shape.heads(), rows);
    }

    /** I64 {@code [slots, layers, heads, pagesPerHead]}: for each page of a head which rows of it last, as a mask. */
    public static TensorSpec marks(KvShape shape) {
        return TensorSpec.of(DType.I64, shape.slots(), shape.layers(), shape.heads(), shape.pagesPerHead());
    }

    /** The input {@code marks} of the graph that {@code builder} records. */
    public static Value declare(GraphBuilder builder, KvShape shape) {
        return builder.sharedInput(MARKS, marks(shape));
    }

    /** How {@code marks} is named among the inputs of graphs. */
    public static String inputName() {
        return MARKS;
    }

    /**
     * What the heads of some layers drop after a step of {@code graph}, each layer once.
     *
     * @throws ai.winnow.ShapeException if two ops decide for one layer
     */
    public static List<KvRetain> of(Graph graph) {
        List<KvRetain> all = graph.nodes().stream()
                .filter(node -> node.op() instanceof KvRetain)
                .map(node -> (KvRetain) node.op())
                .toList();
        Inference.require(
                all.stream().mapToInt(KvRetain::layer).distinct().count() == all.size(),
                () -> "two ops decide what the heads of one layer keep: " + all);
        return all;
    }

    /** How many rows the last piece of a prompt should have, so that as many can probe what is kept; 1 where none do. */
    public static int probes(Graph graph) {
        return of(graph).isEmpty()
                ? 1
                : graph.nodes().stream()
                        .filter(node -> node.op() instanceof AttendedKeys)
                        .mapToInt(node -> ((AttendedKeys) node.op()).probes())
                        .max()
                        .orElse(1);
    }

    @Override
    public List<TensorSpec> infer(List<TensorSpec> inputs) {
        Inference.requireInputs(this, inputs, AT + 1);
        for (int i = KeyLists.TENSORS; i < AT; i++) {
            Inference.requireType(this, inputs, i, DType.I32);
        }
        Dim rows = inputs.get(KeyLists.TENSORS).shape().rowDim();
        Inference.require(
                rows.max() <= keys.tileRows(),
                () -> name() + ": a step of " + rows.max() + " rows does not fit one tile of " + keys.tileRows());
        keys.require(this, inputs, 0, inputs.get(KeyLists.TENSORS), inputs.get(KeyLists.TENSORS + 1));
        TensorSpec wanted = marks(keys.shape());
        Inference.require(
                inputs.get(AT).equals(wanted),
                () -> name() + ": the marks must be " + wanted + ", got " + inputs.get(AT));
        return List.of();
    }

    @Override
    public boolean writesState() {
        return true;
    }

    @Override
    public String name() {
        return "KvRetain[" + keys.shape().heads() + " heads]";
    }

    @Override
    public void evaluate(Operands operands) {
        int sequence = KeyLists.TENSORS;
        KvShape shape = keys.shape();
        keys.forEachTile(operands.in(sequence + 1), operands.inRows(sequence), (tile, s, from, to) -> {
            int slot = operands.in(sequence + 2).getAtIndex(ValueLayout.JAVA_INT, s);
            for (int head = 0; head < shape.heads(); head++) {
                long first = shape.tableIndex(slot, layer, head);
                operands.in(AT)
                        .asSlice(Long.BYTES * first, (long) Long.BYTES * shape.pagesPerHead())
                        .fill((byte) 0);
                int list = tile * keys.lists() + head;
                int count = operands.in(0).getAtIndex(ValueLayout.JAVA_INT, list);
                for (int i = 0; i < count; i++) {
                    long entry = (long) list * keys.pagesPerList() + i;
                    int page = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, entry);
                    long mask = operands.in(2).getAtIndex(ValueLayout.JAVA_LONG, entry);
                    operands.in(AT).setAtIndex(ValueLayout.JAVA_LONG, first + page, mask);
                }
            }
        });
    }
}
