package ai.winnow.benchmarks.compare;

import ai.winnow.benchmarks.compare.Entry.Sparse;
import ai.winnow.contract.AttentionCases;
import ai.winnow.contract.KeyListCases;
import ai.winnow.contract.KvStep;
import ai.winnow.contract.OpCase;
import ai.winnow.ir.KeyLists;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.ir.SparseAttention;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Attention of the last rows over the keys of lists, beside our dense attention over all of them.
 *
 * @param dense the same over all keys
 */
record SparseAttentionProblem(Label label, OpCase declared, OpCase dense) implements Problem {

    /** One token over single keys that are a share of its context, or over whole pages of it: lists of each key-value head. */
    static SparseAttentionProblem decode(
            int queryHeads, int keyValueHeads, int headDim, int context, DType type, double share, boolean pages) {
        KvShape head = new KvShape(1, keyValueHeads, headDim, 1, 1, type);
        KvStep step = KvStep.of(head, List.of(context - 1), List.of(1));
        Label label = Label.of("sparse-decode-attention", type, context + "x" + headDim)
                .with("queryHeads", queryHeads)
                .with("keyValueHeads", keyValueHeads)
                .with(pages ? "pages" : "keys", share);
        return of(label, Phase.DECODE, step, queryHeads, 1, pages ? pages(share) : keys(share));
    }

    /** A prompt over pages that are a share of those before it: a list for 64 rows and each key-value head. */
    static SparseAttentionProblem prefill(
            int queryHeads, int keyValueHeads, int headDim, int tokens, DType type, double share) {
        KvShape head = new KvShape(1, keyValueHeads, headDim, 1, 1, type);
        KvStep step = KvStep.of(head, List.of(0), List.of(tokens));
        Label label = Label.of("sparse-prefill-attention", type, tokens + "x" + headDim)
                .with("queryHeads", queryHeads)
                .with("keyValueHeads", keyValueHeads)
                .with("pages", share);
        return of(label, Phase.PREFILL, step, queryHeads, KvShape.PAGE_ROWS, pages(share));
    }

    private static SparseAttentionProblem of(
            Label label, Phase phase, KvStep step, int queryHeads, int tileRows, KeyListCases.Naming naming) {
        int lists = step.shape().heads();
        return new SparseAttentionProblem(
                label,
                KeyListCases.attention(phase, step, queryHeads, 0, lists, tileRows, naming),
                AttentionCases.attention(phase, step, queryHeads, 0));
    }

    private static KeyListCases.Naming pages(double share) {
        return random -> random.nextDouble() < share ? KeyLists.WHOLE : 0;
    }

    private static KeyListCases.Naming keys(double share) {
        return random -> {
            long mask = 0;
            for (int row = 0; row < KvShape.PAGE_ROWS; row++) {
                mask |= random.nextDouble() < share ? 1L << row : 0;
            }
            return mask;
        };
    }

    @Override
    public Entry open(Ours ours) {
        Dense whole = ours.dense(
                dense.name(), () -> new Dense(dense.name(), ours.open(dense, 1).subject(), null));
        SparseAttention op = (SparseAttention) declared.op();
        double share = share(op);
        Ours.Prepared prepared = ours.open(declared, declared.phase() == Phase.DECODE ? share : 1);
        Work work =
                switch (declared.phase()) {
                    case DECODE ->
                        Work.read(share
                                * 2
                                * op.keys().shape().dtype().bytes(1)
                                * op.keys().shape().rowElements()
                                * op.keys().shape().heads()
                                * op.keys().shape().contextLength());
                    default -> {
                        double tokens = op.keys().shape().contextLength();
                        yield Work.multiplyAdd(share
                                * 2
                                * op.attention().queryHeads()
                                * op.keys().shape().headDim()
                                * tokens
                                * (tokens + 1));
                    }
                };
        return new Entry(
                prepared.subject(),
                work,
                result -> OpProblem.error(prepared.first(), result),
                new Sparse(whole, share),
                null);
    }

    /** Of the pairs of rows and keys that see each other, those that lists name. */
    private double share(SparseAttention op) {
        try (Arena arena = Arena.ofConfined()) {
            return share(op, declared.inputs(Ours.SEED, arena));
        }
    }

    private static double share(SparseAttention op, List<Tensor> operands) {
        Operands index = Operands.of(operands.subList(1, 1 + KeyLists.TENSORS), List.of());
        Tensor indptr = operands.get(SparseAttention.CACHE + 1);
        int rows = indptr.segment().getAtIndex(ValueLayout.JAVA_INT, 1);
        int cached = op.keys().shape().contextLength() - 1 - rows;
        long[] pairs = new long[2];
        op.keys().forEachTile(indptr.segment(), rows, (tile, number, from, to) -> {
            for (int list = 0; list < op.keys().lists(); list++) {
                boolean[] named = op.keys().named(index, 0, tile, list);
                for (int key = 0; key < cached + to; key++) {
                    int seers = to - Math.max(from, key - cached);
                    pairs[0] += named[key] ? seers : 0;
                    pairs[1] += seers;
                }
            }
        });
        return (double) pairs[0] / pairs[1];
    }
}
