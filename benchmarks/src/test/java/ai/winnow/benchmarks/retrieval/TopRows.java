package ai.winnow.benchmarks.retrieval;

import ai.winnow.io.Artefact;
import ai.winnow.ir.Attention;
import ai.winnow.ir.Fused;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Role;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.Rewrite;
import ai.winnow.method.SparsityMethod;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Operands;
import ai.winnow.tensor.TensorSpec;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/** The best that a choice of rows can do: each query head of the matching layers reads the rows of the greatest scores. */
record TopRows(int rows) implements SparsityMethod {

    @Override
    public MethodInfo info() {
        return new MethodInfo("top-rows", "reads the rows of the greatest scores", "none");
    }

    @Override
    public String spec() {
        return "top-rows:budget=" + rows;
    }

    @Override
    public List<Rewrite> rewrites(Artefact artefact) {
        return List.of(new Rewrite(
                Rewrite.Stage.ATTENTION,
                Set.of(Phase.DECODE),
                Set.of(new Rewrite.Claim(Role.ATTENTION, Rewrite.Aspect.KEYS)),
                graph -> graph.mapOps(node -> node.op() instanceof Attention dense
                                && node.site().role() == Role.ATTENTION
                                && dense.layer() >= 2
                        ? new TopAttention(dense, rows)
                        : node.op())));
    }

    /** Ties go to the lower row. */
    record TopAttention(Attention dense, int rows) implements Fused.Defined {

        @Override
        public String name() {
            return "TopAttention[" + rows + "]";
        }

        @Override
        public List<TensorSpec> infer(List<TensorSpec> inputs) {
            return dense.infer(inputs);
        }

        @Override
        public void evaluate(Operands operands) {
            for (int row = 0; row < operands.inRows(0); row++) {
                int sequence = operands.in(1).getAtIndex(ValueLayout.JAVA_INT, row);
                int slot = operands.in(3).getAtIndex(ValueLayout.JAVA_INT, sequence);
                for (int head = 0; head < dense.queryHeads(); head++) {
                    attend(operands, row, slot, head);
                }
            }
        }

        private void attend(Operands operands, int row, int slot, int head) {
            KvShape shape = dense.shape();
            int layer = dense.layer();
            int keyHead = head / dense.group();
            int first = operands.in(2)
                    .getAtIndex(ValueLayout.JAVA_INT, operands.in(1).getAtIndex(ValueLayout.JAVA_INT, row));
            int end = operands.in(7).getAtIndex(ValueLayout.JAVA_INT, shape.headIndex(slot, layer, keyHead))
                    + row
                    - first
                    + 1;
            long at = ((long) row * dense.queryHeads() + head) * shape.headDim();
            double[] scores = new double[end];
            for (int i = 0; i < end; i++) {
                int page = page(operands, slot, keyHead, i);
                for (int d = 0; d < shape.headDim(); d++) {
                    scores[i] += (double) DType.F32.getFloat(operands.in(0), at + d)
                            * shape.get(operands.in(4), page, i % KvShape.PAGE_ROWS, d)
                            * dense.scale();
                }
            }
            int[] best = IntStream.range(0, end)
                    .boxed()
                    .sorted((a, b) -> Double.compare(scores[b], scores[a]))
                    .limit(rows)
                    .mapToInt(i -> i)
                    .toArray();
            double[] weights = Arrays.stream(best)
                    .mapToDouble(i -> Math.exp(scores[i] - scores[best[0]]))
                    .toArray();
            double sum = Arrays.stream(weights).sum();
            for (int d = 0; d < shape.headDim(); d++) {
                double total = 0;
                for (int i = 0; i < best.length; i++) {
                    int page = page(operands, slot, keyHead, best[i]);
                    total += weights[i] * shape.get(operands.in(5), page, best[i] % KvShape.PAGE_ROWS, d);
                }
                DType.F32.setFloat(operands.out(0), at + d, (float) (total / sum));
            }
        }

        private int page(Operands operands, int slot, int keyHead, int row) {
            long at = dense.shape().tableIndex(slot, dense.layer(), keyHead) + row / KvShape.PAGE_ROWS;
            return operands.in(6).getAtIndex(ValueLayout.JAVA_INT, at);
        }
    }
}
