package ai.winnow.examples;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.core.Linear;
import ai.djl.pytorch.jni.JniUtils;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A linear layer in libtorch. DJL has several calls that multiply by a weight, and libtorch is up to 1.4 times as fast with the
 * one as with the other, depending on the sizes: {@link #fastest} tries them all.
 *
 * @param weight F32 {@code [outputs, inputs]}, or {@code [inputs, outputs]} where the choice says so
 */
public record LibtorchLinear(NDArray weight, Choice choice) {

    /** Which function of DJL multiplies. */
    public enum Call {
        /** {@code Linear.linear(x, weight)}. */
        LINEAR,
        /** {@code x.matMul(weight)}, both of two dimensions. */
        MATRIX_MATRIX,
        /** {@code weight.matMul(x)}, where {@code x} has one dimension; for one row only. */
        MATRIX_VECTOR,
        /**
         * A batched {@code matMul} of the two halves of the outputs; for one row only. libtorch multiplies by a vector on one
         * thread, but the products of a batch on several.
         */
        HALVES
    }

    /**
     * How to hold a weight and how to multiply by it.
     *
     * @param inputsFirst whether the weight lies as {@code [inputs, outputs]}
     * @param one the call for one row: decode
     * @param tuned the call for one row where {@link Call#HALVES} is allowed
     * @param many the call for many rows: prefill
     */
    public record Choice(boolean inputsFirst, Call one, Call tuned, Call many) {
        @Override
        public String toString() {
            return String.format(
                    Locale.ROOT,
                    "%s; prefill %s; decode %s; by hand %s",
                    inputsFirst ? "[in, out]" : "[out, in]",
                    name(many),
                    name(one),
                    name(tuned));
        }

        private static String name(Call call) {
            return switch (call) {
                case LINEAR -> "linear";
                case MATRIX_MATRIX -> "matMul 2-D x 2-D";
                case MATRIX_VECTOR -> "matMul 2-D x 1-D";
                case HALVES -> "matMul of halves";
            };
        }
    }

    /** libtorch with that many threads in an operation, checked. */
    public static Engine engine(int threads) {
        Engine engine = Engine.getEngine("PyTorch");
        JniUtils.setNumThreads(threads);
        if (JniUtils.getNumThreads() != threads) {
            throw new IllegalStateException("libtorch uses " + JniUtils.getNumThreads() + " threads, not " + threads);
        }
        return engine;
    }

    /** Weights are cycled through this many bytes, so that none comes from the cache. */
    private static final long PROBE_BYTES = 256L << 20;

    private static final int REPEATS = 6;
    private static final int ROWS = 128;

    /**
     * F32 {@code [rows, inputs]} to {@code [rows, outputs]}; the result belongs to the manager of {@code x}.
     *
     * @param tuned whether one row may be multiplied by {@link Call#HALVES}
     */
    public NDArray apply(NDArray x, boolean tuned) {
        Call one = tuned ? choice.tuned : choice.one;
        return multiply(x, weight, choice.inputsFirst, x.getShape().get(0) == 1 ? one : choice.many);
    }

    private static NDArray multiply(NDArray x, NDArray weight, boolean inputsFirst, Call call) {
        NDManager manager = x.getManager();
        return switch (call) {
            case LINEAR -> Linear.linear(x, weight).singletonOrThrow();
            case MATRIX_MATRIX -> {
                if (inputsFirst) {
                    yield x.matMul(weight);
                }
                try (NDArray transposed = weight.transpose()) {
                    yield x.matMul(transposed);
                }
            }
            case MATRIX_VECTOR -> {
                try (NDArray vector = x.reshape(x.getShape().get(1))) {
                    NDArray result;
                    if (inputsFirst) {
                        try (NDArray transposed = weight.transpose()) {
                            result = transposed.matMul(vector);
                        }
                    } else {
                        result = weight.matMul(vector);
                    }
                    // What a weight's method returns would live as long as the weight.
                    result.attach(manager);
                    yield result.expandDims(0);
                }
            }
            case HALVES -> halves(x, weight, inputsFirst);
        };
    }

    private static NDArray halves(NDArray x, NDArray weight, boolean inputsFirst) {
        long inputs = x.getShape().get(1);
        long outputs = weight.size() / inputs;
        try (NDManager manager = x.getManager().newSubManager()) {
            NDArray row = x.reshape(1, inputs);
            row.attach(manager);
            NDArray product;
            if (inputsFirst) {
                NDArray cut = weight.reshape(inputs, 2, outputs / 2).transpose(1, 0, 2);
                cut.attach(manager);
                product = row.reshape(1, 1, inputs).broadcast(2, 1, inputs).matMul(cut);
            } else {
                NDArray cut = weight.reshape(2, outputs / 2, inputs);
                cut.attach(manager);
                product = cut.matMul(row.reshape(1, inputs, 1).broadcast(2, inputs, 1));
            }
            NDArray result = product.reshape(1, outputs);
            result.attach(x.getManager());
            return result;
        }
    }

    /**
     * Tries every call in both layouts. The layout is the one with the fastest of DJL's own calls for one row: a decode step is what
     * a service waits for. Of the calls that this layout leaves, the fastest for many rows, unless there are never {@code many}.
     */
    public static Choice fastest(NDManager parent, int inputs, int outputs, boolean many) {
        try (NDManager manager = parent.newSubManager()) {
            // A tall matrix is sampled: its rows are alike.
            long rows = Math.min(outputs, PROBE_BYTES / 4 / inputs);
            int copies = Math.toIntExact(Math.clamp(PROBE_BYTES / 4 / inputs / rows, 1, REPEATS));
            NDArray memory = manager.ones(new Shape(copies, rows, inputs));
            @Nullable Choice best = null;
            double least = Double.POSITIVE_INFINITY;
            for (boolean inputsFirst : new boolean[] {false, true}) {
                Probe probe = new Probe(memory, inputsFirst, 1, REPEATS);
                Timed one = probe.fastest(calls(inputsFirst, true));
                Timed tuned = one;
                if (outputs % 2 == 0 && rows % 2 == 0) {
                    Timed halves = probe.fastest(List.of(Call.HALVES));
                    tuned = halves.nanos < one.nanos ? halves : one;
                }
                if (best == null || one.nanos < least) {
                    least = one.nanos;
                    best = new Choice(inputsFirst, one.call, tuned.call, one.call);
                }
            }
            Choice chosen = Objects.requireNonNull(best);
            if (!many) {
                return chosen;
            }
            Timed rowsAtOnce =
                    new Probe(memory.get("0:1"), chosen.inputsFirst, ROWS, 3).fastest(calls(chosen.inputsFirst, false));
            return new Choice(chosen.inputsFirst, chosen.one, chosen.tuned, rowsAtOnce.call);
        }
    }

    private static List<Call> calls(boolean inputsFirst, boolean oneRow) {
        List<Call> calls = new ArrayList<>(List.of(Call.MATRIX_MATRIX));
        if (!inputsFirst) {
            calls.add(Call.LINEAR);
        }
        if (oneRow) {
            calls.add(Call.MATRIX_VECTOR);
        }
        return calls;
    }

    private record Timed(Call call, double nanos) {}

    /**
     * Times calls.
     *
     * @param memory {@code [copies, outputs, inputs]}; the shape of a copy is turned round for {@code inputsFirst}
     * @param rows of the input
     */
    private record Probe(NDArray memory, boolean inputsFirst, int rows, int repeats) {

        Timed fastest(List<Call> calls) {
            Shape shape = memory.getShape();
            NDManager manager = memory.getManager();
            List<NDArray> weights = new ArrayList<>();
            for (int i = 0; i < shape.get(0); i++) {
                NDArray weight = memory.get(i);
                weights.add(inputsFirst ? weight.reshape(shape.get(2), shape.get(1)) : weight);
            }
            NDArray x = manager.ones(new Shape(rows, shape.get(2)));
            return calls.stream()
                    .map(call -> new Timed(call, time(x, weights, call)))
                    .min(Comparator.comparingDouble(Timed::nanos))
                    .orElseThrow();
        }

        private double time(NDArray x, List<NDArray> weights, Call call) {
            double best = Double.POSITIVE_INFINITY;
            for (int i = 0; i < repeats; i++) {
                long start = System.nanoTime();
                multiply(x, weights.get(i % weights.size()), inputsFirst, call).close();
                best = Math.min(best, (double) (System.nanoTime() - start));
            }
            return best;
        }
    }
}
