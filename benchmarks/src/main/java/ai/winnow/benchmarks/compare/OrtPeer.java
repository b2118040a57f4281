package ai.winnow.benchmarks.compare;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.winnow.benchmarks.compare.Task.AttentionTask;
import ai.winnow.benchmarks.compare.Task.FourBitTask;
import ai.winnow.benchmarks.compare.Task.LinearTask;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * ONNX Runtime: MatMul in f32, DynamicQuantizeMatMul for int8 weights with a scale for each output, MatMulNBits for weights of 4
 * bits.
 */
final class OrtPeer implements Peer {

    /** Levels of accuracy that MatMulNBits has: in what inputs are rounded and multiplied. */
    private static final int COMPUTES_IN_INT8 = 4;

    private static final int COMPUTES_IN_F32 = 1;

    private static final double TO_NEAREST = 0.5;

    private static final long START_STACK_BYTES = 64L << 20;

    private final OrtEnvironment environment = start();
    private final int threads;
    private final Rounds rounds;

    OrtPeer(int threads, Rounds rounds) {
        this.rounds = rounds;
        this.threads = threads;
    }

    /**
     * When it starts, ONNX Runtime 1.29 recurses over the characters of the process's command line. From 4000 on, the length of our
     * class path, this overflows the stack of a Java thread, and the process dies without a word.
     */
    private static OrtEnvironment start() {
        FutureTask<OrtEnvironment> task = new FutureTask<>(OrtEnvironment::getEnvironment);
        new Thread(null, task, "start of ONNX Runtime", START_STACK_BYTES).start();
        try {
            return task.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        } catch (ExecutionException e) {
            throw new IllegalStateException("ONNX Runtime does not start", e.getCause());
        }
    }

    @Override
    public String name() {
        return "ort";
    }

    @Override
    public Optional<Subject> open(Task task) {
        return switch (task) {
            case LinearTask linear -> Optional.of(linear(linear));
            case FourBitTask fourBit -> Optional.of(fourBit(fourBit));
            case AttentionTask _ -> Optional.empty();
        };
    }

    private Subject linear(LinearTask task) {
        int in = task.in();
        int out = task.out();
        boolean quantised = task.type() == DType.I8;
        byte[] model = (quantised ? quantised(task) : plain(task)).bytes(task.rows(), in, out);
        int copies = Rotation.copies((quantised ? 1L : 4L) * in * out);
        String call = quantised ? "DynamicQuantizeMatMul" : "MatMul";
        return open(call, model, copies, task.x(), task.rows(), in, quantised ? TO_NEAREST : 0);
    }

    /** Input {@code 2 j} lies in the low half of byte {@code j}; without zero points 8 stands for 0. */
    private Subject fourBit(FourBitTask task) {
        int in = task.in();
        int out = task.out();
        int group = task.group();
        byte[] packed = new byte[out * in / 2];
        ByteBuffer scales = ByteBuffer.allocate(4 * out * (in / group)).order(ByteOrder.LITTLE_ENDIAN);
        for (int output = 0; output < out; output++) {
            for (int input = 0; input < in; input += 2) {
                int low = task.element(output, input) + 8;
                int high = task.element(output, input + 1) + 8;
                packed[(output * in + input) / 2] = (byte) (low | high << 4);
            }
            for (int input = 0; input < in; input += group) {
                scales.putFloat(task.scale(output, input));
            }
        }
        int copies = Rotation.copies(packed.length + scales.capacity());
        List<Subject> ways = new ArrayList<>();
        for (int accuracy : new int[] {COMPUTES_IN_INT8, COMPUTES_IN_F32}) {
            byte[] model = new OnnxModel("MatMulNBits", "com.microsoft", 17)
                    .constant("w", OnnxModel.UINT8, packed, out, in / group, group / 2)
                    .constant("scales", OnnxModel.FLOAT, scales.array(), (long) out * (in / group))
                    .attribute("K", in)
                    .attribute("N", out)
                    .attribute("bits", 4)
                    .attribute("block_size", group)
                    .attribute("accuracy_level", accuracy)
                    .bytes(task.rows(), in, out);
            boolean quantised = accuracy == COMPUTES_IN_INT8;
            String call = "MatMulNBits, computing in " + (quantised ? "int8" : "f32");
            ways.add(open(call, model, copies, task.x(), task.rows(), in, quantised ? TO_NEAREST : 0));
        }
        return rounds.fastest(ways);
    }

    /** The weight turned to {@code [in, out]}, as MatMul wants it. */
    private static OnnxModel plain(LinearTask task) {
        int in = task.in();
        int out = task.out();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment weight = Buffers.transposed(task.weight().segment(), out, in, arena);
            byte[] bytes = weight.toArray(ValueLayout.JAVA_BYTE);
            return new OnnxModel("MatMul", "", 17).constant("w", OnnxModel.FLOAT, bytes, in, out);
        }
    }

    private static OnnxModel quantised(LinearTask task) {
        int in = task.in();
        int out = task.out();
        byte[] quantised = new byte[in * out];
        ByteBuffer scales = ByteBuffer.allocate(4 * out).order(ByteOrder.LITTLE_ENDIAN);
        Tensor weight = task.weight();
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

    /** As many sessions as copies: each packs the weight into memory of its own. */
    private Subject open(String call, byte[] model, int copies, Tensor x, int rows, int in, double inputRounding) {
        try {
            // The first rows of x, in the memory that ours reads.
            FloatBuffer inputs = Buffers.of(x, (long) rows * in).asFloatBuffer();
            OnnxTensor input = OnnxTensor.createTensor(environment, inputs, new long[] {rows, in});
            List<OrtSession> sessions = new ArrayList<>();
            for (int i = 0; i < copies; i++) {
                sessions.add(session(model));
            }
            return new Rotation<>(
                    call,
                    sessions,
                    session -> run(session, input),
                    session -> result(session, input),
                    () -> {
                        input.close();
                        sessions.forEach(OrtPeer::close);
                    },
                    inputRounding);
        } catch (OrtException e) {
            throw new IllegalStateException("ONNX Runtime refuses the model of " + call, e);
        }
    }

    private OrtSession session(byte[] model) throws OrtException {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            // Its threads may spin while it runs, not afterwards: they would take a processor from the next subject.
            options.addConfigEntry("session.force_spinning_stop", "1");
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            return environment.createSession(model, options);
        }
    }

    private static void run(OrtSession session, OnnxTensor x) {
        try (OrtSession.Result result = session.run(Map.of("x", x))) {
            if (result.size() != 1) {
                throw new IllegalStateException("expected one result, found " + result.size());
            }
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
    }

    private static float[] result(OrtSession session, OnnxTensor x) {
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

    private static void close(OrtSession session) {
        try {
            session.close();
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        // The environment belongs to the process.
    }
}
