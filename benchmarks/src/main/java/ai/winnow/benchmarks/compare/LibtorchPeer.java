package ai.winnow.benchmarks.compare;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.winnow.examples.LibtorchLinear;
import ai.winnow.tensor.DType;
import java.nio.FloatBuffer;
import java.util.Optional;
import java.util.function.Function;

/** libtorch through DJL: for linear layers the fastest of its calls in the layout that suits it. */
final class LibtorchPeer implements Peer {

    private final NDManager manager;

    LibtorchPeer(int threads) {
        this.manager = LibtorchLinear.engine(threads).newBaseManager();
    }

    @Override
    public String name() {
        return "libtorch";
    }

    @Override
    public Optional<Subject> linear(LinearProblem problem, DType type) {
        if (type == DType.I8) {
            return Optional.empty();
        }
        NDManager own = manager.newSubManager();
        int in = problem.in();
        int out = problem.out();
        LibtorchLinear.Choice choice = LibtorchLinear.fastest(own, in, out, problem.rows() > 1);
        NDArray weight = own.create(problem.weight().toFloats(), new Shape(out, in));
        if (choice.inputsFirst()) {
            NDArray turned = weight.transpose().duplicate();
            weight.close();
            weight = turned;
        }
        LibtorchLinear linear = new LibtorchLinear(weight, choice);
        FloatBuffer x = FloatBuffer.wrap(problem.x().toFloats(), 0, problem.rows() * in);
        NDArray input = own.create(x.slice(), new Shape(problem.rows(), in), ai.djl.ndarray.types.DataType.FLOAT32);
        return Optional.of(new Run(own, step -> {
            input.attach(step); // the result belongs to the manager of the input
            NDArray result = linear.apply(input, false);
            input.attach(own);
            return result;
        }));
    }

    @Override
    public Optional<Subject> attention(AttentionProblem p) {
        NDManager own = manager.newSubManager();
        int group = p.queryHeads() / p.keyValueHeads();
        long cache = (long) p.keyValueHeads() * p.context() * p.headDim();
        NDArray keys = own.create(p.numbers(cache), new Shape(p.keyValueHeads(), p.context(), p.headDim()))
                .transpose(0, 2, 1);
        NDArray values = own.create(p.numbers(cache), new Shape(p.keyValueHeads(), p.context(), p.headDim()));
        NDArray queries = own.create(
                p.numbers((long) p.queryHeads() * p.headDim()), new Shape(p.keyValueHeads(), group, p.headDim()));
        return Optional.of(new Run(own, step -> {
            queries.attach(step);
            NDArray result = queries.matMul(keys).softmax(-1).matMul(values);
            queries.attach(own);
            return result;
        }));
    }

    @Override
    public void close() {
        manager.close();
    }

    /** A computation whose arrays are freed after each run. */
    private static final class Run implements Subject {
        private final NDManager own;
        private final Function<NDManager, NDArray> computation;
        private long size;

        Run(NDManager own, Function<NDManager, NDArray> computation) {
            this.own = own;
            this.computation = computation;
        }

        @Override
        public void run() {
            try (NDManager step = own.newSubManager();
                    NDArray array = computation.apply(step)) {
                size = array.size(); // looked at, not copied
            }
        }

        @Override
        public float[] result() {
            try (NDManager step = own.newSubManager()) {
                float[] result = computation.apply(step).toFloatArray();
                if (size != 0 && result.length != size) {
                    throw new IllegalStateException("results of " + size + " and " + result.length + " numbers");
                }
                return result;
            }
        }

        @Override
        public void close() {
            own.close();
        }
    }
}
