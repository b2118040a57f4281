package ai.winnow.benchmarks.compare;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Map;
import java.util.Optional;

/** ONNX Runtime: MatMul in f32, DynamicQuantizeMatMul for int8 weights with a scale for each output. */
final class OrtPeer implements Peer {

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final int threads;

    OrtPeer(int threads) {
        this.threads = threads;
    }

    @Override
    public String name() {
        return "ort";
    }

    @Override
    public Optional<Subject> linear(LinearProblem problem, DType type) {
        OnnxModel model = type == DType.I8 ? quantised(problem) : plain(problem);
        byte[] bytes = model.bytes(problem.rows(), problem.in(), problem.out());
        FloatBuffer x = ByteBuffer.allocateDirect(4 * problem.rows() * problem.in())
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer();
        x.put(problem.x().toFloats(), 0, problem.rows() * problem.in()).flip();
        try {
            return Optional.of(new Run(bytes, x, problem.rows(), problem.in()));
        } catch (OrtException e) {
            throw new IllegalStateException(
                    "ONNX Runtime refuses the model of " + problem.in() + " -> " + problem.out(), e);
        }
    }

    /** The weight turned to {@code [in, out]}, as MatMul wants it. */
    private static OnnxModel plain(LinearProblem problem) {
        int in = problem.in();
        int out = problem.out();
        ByteBuffer bytes = ByteBuffer.allocate(4 * in * out).order(ByteOrder.LITTLE_ENDIAN);
        Tensor weight = problem.weight();
        for (int i = 0; i < in; i++) {
            for (int o = 0; o < out; o++) {
                bytes.putFloat(weight.getFloat((long) o * in + i));
            }
        }
        return new OnnxModel("MatMul", "", 17).constant("w", OnnxModel.FLOAT, bytes.array(), in, out);
    }

    private static OnnxModel quantised(LinearProblem problem) {
        int in = problem.in();
        int out = problem.out();
        byte[] quantised = new byte[in * out];
        ByteBuffer scales = ByteBuffer.allocate(4 * out).order(ByteOrder.LITTLE_ENDIAN);
        Tensor weight = problem.weight();
        for (int o = 0; o < out; o++) {
            float greatest = 0;
            for (int i = 0; i < in; i++) {
                greatest = Math.max(greatest, Math.abs(weight.getFloat((long) o * in + i)));
            }
            float scale = greatest == 0 ? 1 : greatest / 127;
            scales.putFloat(scale);
            for (int i = 0; i < in; i++) {
                quantised[i * out + o] = (byte) Math.round(weight.getFloat((long) o * in + i) / scale);
            }
        }
        return new OnnxModel("DynamicQuantizeMatMul", "com.microsoft", 17)
                .constant("w", OnnxModel.INT8, quantised, in, out)
                .constant("scales", OnnxModel.FLOAT, scales.array(), out);
    }

    @Override
    public Optional<Subject> attention(AttentionProblem problem) {
        return Optional.empty();
    }

    @Override
    public void close() {
        // The environment belongs to the process.
    }

    private final class Run implements Subject {
        private final OrtSession session;
        private final OnnxTensor x;

        Run(byte[] model, FloatBuffer values, long rows, long in) throws OrtException {
            try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
                options.setIntraOpNumThreads(threads);
                options.setInterOpNumThreads(1);
                // Its threads may spin while it runs, not afterwards: they would take a processor from the next
                // subject.
                options.addConfigEntry("session.force_spinning_stop", "1");
                options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
                this.session = environment.createSession(model, options);
            }
            this.x = OnnxTensor.createTensor(environment, values, new long[] {rows, in});
        }

        @Override
        public void run() {
            try (OrtSession.Result result = session.run(Map.of("x", x))) {
                if (result.size() != 1) {
                    throw new IllegalStateException("expected one result, found " + result.size());
                }
            } catch (OrtException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public float[] result() {
            try (OrtSession.Result result = session.run(Map.of("x", x))) {
                OnnxTensor y = (OnnxTensor) result.get(0); // closed with the result
                FloatBuffer buffer = y.getFloatBuffer();
                float[] values = new float[buffer.remaining()];
                buffer.get(values);
                return values;
            } catch (OrtException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public void close() {
            x.close();
            try {
                session.close();
            } catch (OrtException e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
