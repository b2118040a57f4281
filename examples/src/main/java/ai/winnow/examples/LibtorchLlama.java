package ai.winnow.examples;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.winnow.architecture.Architecture;
import ai.winnow.architecture.Dimensions;
import ai.winnow.architecture.ModelConfig;
import ai.winnow.io.TensorSource;
import java.lang.foreign.Arena;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What Winnow is compared with: the same dense model in f32, written with DJL's {@code NDArray} on libtorch, as fast as we could
 * make it. Query, key and value are one product, and so are gate and up; keys and values lie in caches that are allocated once;
 * the linear layers use the call and the layout that are the fastest on this machine. One sequence. Not thread-safe.
 */
final class LibtorchLlama implements AutoCloseable {

    private static final float MASKED = -1e30f;

    private record Layer(
            NDArray attentionNorm,
            LibtorchLinear queryKeyValue,
            LibtorchLinear output,
            NDArray feedForwardNorm,
            LibtorchLinear gateUp,
            LibtorchLinear down,
            NDArray keys, // [keyValueHeads, maxPositions, headDim]
            NDArray values) {}

    private final Dimensions size;
    private final float epsilon;
    private final Arena arena = Arena.ofShared();
    private final NDManager manager;
    private final List<Layer> layers = new ArrayList<>();
    private final NDArray finalNorm;
    private final LibtorchLinear head;
    private final NDArray cosines; // [maxPositions, headDim]
    private final NDArray sines;
    private final Map<String, LibtorchLinear.Choice> choices = new LinkedHashMap<>();
    private boolean tuned;
    private int length;
    private long headNanos;

    /**
     * Loads the model.
     *
     * @param source F32 or BF16 weights under Hugging Face's names; the head must be tied to the embedding
     * @param threads threads of libtorch
     * @param maxPositions room for keys and values
     */
    LibtorchLlama(ModelConfig config, TensorSource source, int threads, int maxPositions) {
        this.size = Architecture.define(config, source, null).dimensions();
        this.epsilon = (float) config.positive("rms_norm_eps");
        this.manager = LibtorchLinear.engine(threads).newBaseManager();
        LibtorchWeights weights = new LibtorchWeights(source, manager, arena);
        int hidden = size.hiddenSize();
        LibtorchLinear.Choice queryKeyValue =
                choose("query+key+value", hidden, size.querySize() + 2 * size.keyValueSize(), true);
        LibtorchLinear.Choice output = choose("output", size.querySize(), hidden, true);
        LibtorchLinear.Choice gateUp = choose("gate+up", hidden, 2 * size.intermediateSize(), true);
        LibtorchLinear.Choice down = choose("down", size.intermediateSize(), hidden, true);
        for (int i = 0; i < size.numHiddenLayers(); i++) {
            String attention = "model.layers." + i + ".self_attn.";
            String mlp = "model.layers." + i + ".mlp.";
            Shape cache = new Shape(size.numKeyValueHeads(), maxPositions, size.headDim());
            layers.add(new Layer(
                    weights.vector("model.layers." + i + ".input_layernorm.weight"),
                    weights.linear(
                            queryKeyValue,
                            attention + "q_proj.weight",
                            attention + "k_proj.weight",
                            attention + "v_proj.weight"),
                    weights.linear(output, attention + "o_proj.weight"),
                    weights.vector("model.layers." + i + ".post_attention_layernorm.weight"),
                    weights.linear(gateUp, mlp + "gate_proj.weight", mlp + "up_proj.weight"),
                    weights.linear(down, mlp + "down_proj.weight"),
                    manager.zeros(cache),
                    manager.zeros(cache)));
        }
        this.finalNorm = weights.vector("model.norm.weight");
        this.head = weights.linear(choose("head", hidden, size.vocabSize(), false), "model.embed_tokens.weight");
        double theta = config.positive("rope_theta", 10_000);
        this.cosines = rotary(theta, maxPositions, true);
        this.sines = rotary(theta, maxPositions, false);
    }

    /** Which call and layout each kind of layer uses, for decode and for prefill. */
    Map<String, LibtorchLinear.Choice> choices() {
        return choices;
    }

    /** Nanoseconds spent in the final norm and the head so far. */
    long headNanos() {
        return headNanos;
    }

    /** Whether products with one row may take {@link LibtorchLinear.Call#HALVES}; otherwise only what DJL offers as one call. */
    void tune(boolean byHand) {
        tuned = byHand;
    }

    /** Forgets the sequence. */
    void reset() {
        length = 0;
    }

    /** Appends tokens to the sequence. @return the logits after the last */
    float[] run(int... tokens) {
        try (NDManager step = manager.newSubManager()) {
            NDArray x = embed(step, tokens); // [tokens, hidden]
            NDArray mask = tokens.length == 1 ? null : mask(step, tokens.length);
            for (Layer layer : layers) {
                x = x.add(attention(layer, norm(x, layer.attentionNorm), mask));
                x = x.add(feedForward(layer, norm(x, layer.feedForwardNorm)));
            }
            length += tokens.length;
            long start = System.nanoTime();
            NDArray last = x.get(new NDIndex("{}:{}", tokens.length - 1, tokens.length));
            float[] logits = head.apply(norm(last, finalNorm), tuned).toFloatArray();
            headNanos += System.nanoTime() - start;
            return logits;
        }
    }

    private NDArray embed(NDManager step, int[] tokens) {
        NDArray ids = step.create(tokens).toType(DataType.INT64, false);
        if (!head.choice().inputsFirst()) {
            return attached(head.weight().get(ids), step);
        }
        // The head's matrix is the embedding's; where it lies as [hidden, vocabulary], a token is a column.
        try (NDArray table = head.weight().transpose()) {
            return attached(table.get(ids), step);
        }
    }

    /** What a weight's method returns would live as long as the weight. */
    private static NDArray attached(NDArray array, NDManager step) {
        array.attach(step);
        return array;
    }

    /** {@code x / sqrt(mean(x^2) + epsilon) * weight}. */
    private NDArray norm(NDArray x, NDArray weight) {
        NDArray root = x.square().mean(new int[] {-1}, true).addi(epsilon).sqrt();
        return x.div(root).muli(weight);
    }

    private NDArray attention(Layer layer, NDArray x, @Nullable NDArray mask) {
        int tokens = Math.toIntExact(x.getShape().get(0));
        int heads = size.numAttentionHeads();
        int shared = size.numKeyValueHeads();
        int headDim = size.headDim();
        int total = length + tokens;
        NDArray projected = layer.queryKeyValue.apply(x, tuned).reshape(tokens, heads + 2L * shared, headDim);
        NDArray byHead = projected.transpose(1, 0, 2); // [heads + 2 shared, tokens, headDim]
        NDArray turned = rotate(byHead.get(new NDIndex("0:{}", heads + shared)), total - tokens, total);
        NDIndex place = new NDIndex(":, {}:{}, :", total - tokens, total);
        layer.keys.set(place, turned.get(new NDIndex("{}:", heads)));
        layer.values.set(place, byHead.get(new NDIndex("{}:", heads + shared)));
        NDIndex all = new NDIndex(":, 0:{}, :", total);
        try (NDArray keys = layer.keys.get(all);
                NDArray values = layer.values.get(all);
                NDArray keysTransposed = keys.transpose(0, 2, 1)) {
            // All query heads that share keys are rows of one product: nothing is repeated.
            NDArray queries = turned.get(new NDIndex("0:{}", heads))
                    .muli((float) (1 / Math.sqrt(headDim)))
                    .reshape(shared, (long) heads / shared * tokens, headDim);
            NDArray scores = queries.matMul(keysTransposed); // [shared, heads / shared * tokens, total]
            if (mask != null) {
                scores = scores.reshape(heads, tokens, total).addi(mask).reshape(scores.getShape());
            }
            NDArray mixed = scores.softmax(-1).matMul(values); // [shared, heads / shared * tokens, headDim]
            return layer.output.apply(
                    mixed.reshape(heads, tokens, headDim).transpose(1, 0, 2).reshape(tokens, (long) heads * headDim),
                    tuned);
        }
    }

    /** Rotary position embedding of {@code [heads, tokens, headDim]}, halves against each other. */
    private NDArray rotate(NDArray x, int from, int to) {
        NDIndex positions = new NDIndex("{}:{}", from, to);
        try (NDArray cosine = cosines.get(positions);
                NDArray sine = sines.get(positions)) {
            NDList halves = x.split(2, 2);
            NDArray crossed = halves.get(1).neg().concat(halves.get(0), 2);
            return x.mul(cosine).addi(crossed.muli(sine));
        }
    }

    private NDArray feedForward(Layer layer, NDArray x) {
        NDList halves = layer.gateUp.apply(x, tuned).split(2, 1);
        NDArray gate = halves.get(0);
        NDArray activated = gate.getNDArrayInternal().sigmoid().muli(gate);
        return layer.down.apply(activated.muli(halves.get(1)), tuned);
    }

    /** 0 where a token may look, {@link #MASKED} after it: {@code [tokens, length + tokens]}. */
    private NDArray mask(NDManager step, int tokens) {
        int total = length + tokens;
        float[] mask = new float[tokens * total];
        for (int row = 0; row < tokens; row++) {
            Arrays.fill(mask, row * total + length + row + 1, (row + 1) * total, MASKED);
        }
        return step.create(FloatBuffer.wrap(mask), new Shape(tokens, total), DataType.FLOAT32);
    }

    private NDArray rotary(double theta, int positions, boolean cosine) {
        int half = size.headDim() / 2;
        float[] table = new float[positions * 2 * half];
        for (int position = 0; position < positions; position++) {
            for (int i = 0; i < 2 * half; i++) {
                double angle = position * Math.pow(theta, -(i % half) / (double) half);
                table[position * 2 * half + i] = (float) (cosine ? Math.cos(angle) : Math.sin(angle));
            }
        }
        return manager.create(table, new Shape(positions, 2L * half));
    }

    private LibtorchLinear.Choice choose(String layer, int inputs, int outputs, boolean manyRows) {
        LibtorchLinear.Choice choice = LibtorchLinear.fastest(manager, inputs, outputs, manyRows);
        choices.put(layer, choice);
        return choice;
    }

    @Override
    public void close() {
        manager.close();
        arena.close();
    }
}
