package ai.winnow.benchmarks.compare;

import ai.winnow.contract.AttentionCases;
import ai.winnow.contract.Fill;
import ai.winnow.contract.KvStep;
import ai.winnow.contract.LinearCases;
import ai.winnow.contract.OpCase;
import ai.winnow.contract.PreparedCase;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.Workers;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout.Order;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Runs one comparison: our kernel, our dense one where it is sparse, the limits and the peers, all in the same rounds. */
record Contest(KernelProvider provider, Workers workers, Limits limits, List<Peer> peers) {

    private static final String OURS = "ours";
    private static final String DENSE = "our dense";

    /** From how many rows on a product is bound by multiplications and not by reading. */
    private static final int MANY_ROWS = 16;

    /** A dense linear layer; {@code gemv} of one row, {@code gemm} of more. */
    Row dense(int rows, int in, int out, DType type) {
        OpCase declared = LinearCases.linear(rows == 1 ? Phase.DECODE : Phase.PREFILL, rows, in, out, type, false);
        try (Ours ours = new Ours(provider, declared, Order.COLUMN_MAJOR, workers)) {
            LinearProblem problem = problem(ours.first(), rows, in, out, -1);
            Map<String, Object> params = new LinkedHashMap<>();
            if (rows > 1) {
                params.put("rows", rows);
            }
            double work = rows >= MANY_ROWS ? 2.0 * rows * in * out : ours.bytes();
            return run(
                    new Label(rows == 1 ? "gemv" : "gemm", type, out + "x" + in, params),
                    ours,
                    null,
                    0,
                    rows >= MANY_ROWS,
                    work,
                    problem,
                    null);
        }
    }

    /** An input-sparse linear layer of one row; {@code sparsity} of the inputs are below the threshold. */
    Row sparse(int in, int out, DType type, float sparsity) {
        InputSelection selection = new InputSelection.Threshold(sparsity);
        Fill uniform = Fill.uniform(-1, 1);
        OpCase declared = LinearCases.sparse(Phase.DECODE, 1, in, out, type, selection, uniform, false);
        OpCase dense = LinearCases.linear(Phase.DECODE, 1, in, out, type, false);
        try (Ours ours = new Ours(provider, declared, null, workers);
                Ours ownDense = new Ours(provider, dense, Order.COLUMN_MAJOR, workers)) {
            LinearProblem problem = problem(ours.first(), 1, in, out, sparsity);
            Map<String, Object> params = new LinkedHashMap<>();
            params.put("sparsity", sparsity);
            return run(
                    new Label("sparse-gemv", type, out + "x" + in, params),
                    ours,
                    ownDense,
                    sparsity,
                    false,
                    ours.bytes() * (1.0 - sparsity),
                    problem,
                    null);
        }
    }

    /** Attention of one token over a paged context; every key and value is read once. */
    Row decodeAttention(int queryHeads, int keyValueHeads, int headDim, int context, DType type) {
        KvShape head = new KvShape(1, keyValueHeads, headDim, 1, 1, type);
        OpCase declared = AttentionCases.attention(
                Phase.DECODE, KvStep.of(head, List.of(context - 1), List.of(1)), queryHeads, 0);
        try (Ours ours = new Ours(provider, declared, null, workers)) {
            Map<String, Object> params = new LinkedHashMap<>();
            params.put("context", context);
            params.put("queryHeads", queryHeads);
            params.put("keyValueHeads", keyValueHeads);
            return run(
                    new Label("decode-attention", type, context + "x" + headDim, params),
                    ours,
                    null,
                    0,
                    false,
                    2.0 * type.bytes((long) context * keyValueHeads * headDim),
                    null,
                    new AttentionProblem(queryHeads, keyValueHeads, headDim, context));
        }
    }

    /** Causal attention of a prompt over itself. */
    Row prefillAttention(int queryHeads, int keyValueHeads, int headDim, int tokens, DType type) {
        KvShape head = new KvShape(1, keyValueHeads, headDim, 1, 1, type);
        OpCase declared =
                AttentionCases.attention(Phase.PREFILL, KvStep.of(head, List.of(0), List.of(tokens)), queryHeads, 0);
        try (Ours ours = new Ours(provider, declared, null, workers)) {
            Map<String, Object> params = new LinkedHashMap<>();
            params.put("queryHeads", queryHeads);
            params.put("keyValueHeads", keyValueHeads);
            return run(
                    new Label("prefill-attention", type, tokens + "x" + headDim, params),
                    ours,
                    null,
                    0,
                    true,
                    2.0 * queryHeads * headDim * tokens * (tokens + 1.0), // half of the square, for scores and for sums
                    null,
                    null);
        }
    }

    private record Label(String kernel, DType type, String shape, Map<String, Object> params) {}

    private static LinearProblem problem(PreparedCase prepared, int rows, int in, int out, float threshold) {
        List<Tensor> meant = prepared.meant();
        return new LinearProblem(rows, in, out, meant.get(0), meant.get(1), threshold);
    }

    /** @param work bytes that have to be read, or, if {@code multiplies}, floating point operations */
    private Row run(
            Label label,
            Ours ours,
            @Nullable Ours ownDense,
            double sparsity,
            boolean multiplies,
            double work,
            @Nullable LinearProblem linear,
            @Nullable AttentionProblem attention) {
        Map<String, Runnable> subjects = new LinkedHashMap<>();
        subjects.put(OURS, ours::run);
        if (ownDense != null) {
            subjects.put(DENSE, ownDense::run);
        }
        subjects.putAll(limits.subjects());
        List<Subject> opened = new ArrayList<>();
        try {
            for (Peer peer : peers) {
                Optional<Subject> subject = Optional.empty();
                if (linear != null) {
                    subject = peer.linear(linear, label.type());
                } else if (attention != null) {
                    subject = peer.attention(attention);
                }
                subject.ifPresent(each -> {
                    opened.add(each);
                    requireSame(peer, each, linear, label);
                    subjects.put(peer.name(), each::run);
                });
            }
            Map<String, Double> times = Rounds.time(subjects);
            double nanos = times.getOrDefault(OURS, Double.NaN);
            double read = limits.bandwidth(times);
            double flops = limits.flops(times);
            Map<String, Double> peersMs = new LinkedHashMap<>();
            peers.forEach(peer -> {
                Double time = times.get(peer.name());
                if (time != null) {
                    peersMs.put(peer.name(), time / 1e6);
                }
            });
            Double dense = times.get(DENSE);
            double error = linear == null ? error(ours) : linear.error(ours.result(), linear.bound());
            if (!(error <= 1)) {
                throw new IllegalStateException(label + " is wrong: its error is " + error + " of what is allowed");
            }
            return new Row(
                    label.kernel(),
                    label.type().name().toLowerCase(java.util.Locale.ROOT),
                    label.shape(),
                    workers.threads(),
                    label.params(),
                    nanos / 1e6,
                    work / (multiplies ? flops : read) / nanos,
                    dense == null ? null : dense * (1 - sparsity) / nanos,
                    dense == null ? null : dense / 1e6,
                    peersMs,
                    true,
                    error);
        } finally {
            opened.forEach(Subject::close);
        }
    }

    /** A peer that computes something else would be a weak one. Quantised inputs lose more than f32. */
    private static void requireSame(Peer peer, Subject subject, @Nullable LinearProblem linear, Label label) {
        if (linear != null) {
            LinearProblem dense =
                    new LinearProblem(linear.rows(), linear.in(), linear.out(), linear.x(), linear.weight(), -1);
            double bound = label.type() == DType.I8 ? 0.02 : 10 * dense.bound();
            double error = dense.error(subject.result(), bound);
            if (!(error <= 1)) {
                throw new IllegalStateException(peer.name() + " computes something else for " + label + ": " + error);
            }
        }
    }

    /** Against the reference, by the case's own tolerance. */
    private static double error(Ours ours) {
        PreparedCase prepared = ours.first();
        OpCase declared = prepared.declared();
        float[] actual = ours.result();
        try (Arena arena = Arena.ofShared()) {
            float[] expected =
                    declared.reference(prepared.meant(), arena).getFirst().toFloats();
            double[] bounds = declared.tolerance().bounds(declared, prepared.meant(), expected);
            int count = declared.rows(declared.request().outputs().getFirst())
                    * Math.toIntExact(
                            declared.request().outputs().getFirst().shape().rowElements());
            double worst = 0;
            for (int i = 0; i < count; i++) {
                double error = Math.abs(actual[i] - expected[i]);
                worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error / bounds[i]);
            }
            return worst;
        }
    }
}
