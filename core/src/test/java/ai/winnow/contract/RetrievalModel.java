package ai.winnow.contract;

import ai.winnow.io.SafeTensorsWriter;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A Llama whose weights are set by hand: an induction circuit (Olsson et al. 2022) that answers "what followed this key most
 * often?" over contexts of up to 131,072 tokens, provably if its attention is dense. So what a method that reads less of the cache
 * loses can be counted in wrong answers. {@code docs/retrieval-model.md} has the construction and its bounds.
 *
 * <p>Layers 0 and 1 bring each row the code of the token before it, half of it each. The matching layers behind them compare
 * the code of a row's token with those, and gather what stands where they agree. A value is four to a part, two parts to a matching
 * layer, one to each key-value head: an answer needs every one of them.
 *
 * @param seed of the codes
 * @param positions the longest text, at most {@value #MOST_POSITIONS}
 * @param matchingLayers from 1 to 3; there are 16, 256 or 4096 values
 * @param group query heads that share a key-value head: 2 or 4
 */
public record RetrievalModel(long seed, int positions, int matchingLayers, int group) {

    /** The longest text that the bounds hold for. */
    public static final int MOST_POSITIONS = 131_072;

    public static final int KV_HEADS = 2;
    public static final int HEAD_DIM = 64;

    /** Layers before the matching ones. */
    public static final int PREVIOUS_LAYERS = 2;

    /** Symbols that a part of a value may be. */
    public static final int SYMBOLS = 4;

    /** How the pairs of a head turn: pair i by THETA^(-i / 32) a position. */
    public static final double THETA = 1e36;

    /** The first pairs turn fast enough to tell distances apart ... */
    public static final int POSITION_PAIRS = 5;

    /** ... and from this pair on so slowly that a code hardly changes over all positions. */
    public static final int FIRST_CODE_PAIR = 8;

    /** What a pair adds to the score of the row before, of a head that looks for it. */
    public static final double POSITION_GAIN = 300;

    /**
     * What a bit that agrees adds to a score, and takes from it if it does not, by query head; a fifth head begins anew. Even heads
     * see what matches and nothing else, odd ones see everything.
     */
    static final double[] SHARPNESS = {4, 0.1, 1.5, 0.02};

    /** How much the odd heads of a group count in the answer together, where the even ones count 1: too little to decide it. */
    static final double BROAD_VOTE = 0.25;

    /** So little that an answer does not change the norm of a row. A power of two. */
    private static final double ANSWER = 1.0 / 64;

    /** What an undivided vote adds to a logit. */
    private static final double LOGIT = 8;

    private static final int PAIRS = HEAD_DIM / 2;
    private static final int HIDDEN = 160;
    private static final int INNER = 16;
    private static final double EPSILON = 1e-6;

    // Elements of a row between the layers.
    private static final int ONE = 0;
    private static final int CODE = 1;
    private static final int BEFORE = CODE + RetrievalCodes.BITS;
    /** Makes the norm of tokens that are no value that of those that are. */
    private static final int BALANCE = BEFORE + RetrievalCodes.BITS;

    private static final int SYMBOL = BALANCE + 1;

    public RetrievalModel {
        if (positions < 1 || positions > MOST_POSITIONS || matchingLayers < 1 || matchingLayers > 3) {
            throw new IllegalArgumentException("from 1 to " + MOST_POSITIONS
                    + " positions and 1 to 3 matching layers, not " + positions + " and " + matchingLayers);
        }
        if (group != 2 && group != 4) {
            throw new IllegalArgumentException("2 or 4 query heads share a key-value head, not " + group);
        }
    }

    /** Two matching layers, so 256 values, and 4 query heads for 2 of keys and values. */
    public static RetrievalModel of(long seed, int positions) {
        return new RetrievalModel(seed, positions, 2, 2);
    }

    /** Query heads. */
    public int heads() {
        return KV_HEADS * group;
    }

    static double sharpness(int head) {
        return SHARPNESS[head % SHARPNESS.length];
    }

    /** How much a query head counts in the answer. */
    double vote(int head) {
        return (head % 2 == 0 ? 1 : BROAD_VOTE) / (group / 2.0);
    }

    /** Parts of a value. */
    public int parts() {
        return KV_HEADS * matchingLayers;
    }

    /** How many values there are: every choice of a symbol for each part. */
    public int values() {
        return 1 << (2 * parts());
    }

    /** The symbol that {@code part} of value number {@code index} is. */
    public static int symbol(int index, int part) {
        return index >>> (2 * part) & (SYMBOLS - 1);
    }

    public RetrievalCodes codes() {
        return new RetrievalCodes(seed, values());
    }

    public int layers() {
        return PREVIOUS_LAYERS + matchingLayers;
    }

    /** What {@code config.json} says. */
    public String config() {
        return """
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": %d,
                 "intermediate_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d,
                 "head_dim": %d, "vocab_size": %d, "max_position_embeddings": %d, "rope_theta": 1e36,
                 "rms_norm_eps": 1e-6, "tie_word_embeddings": false, "bos_token_id": 0}
                """.formatted(
                HIDDEN, INNER, layers(), heads(), KV_HEADS, HEAD_DIM, RetrievalCodes.value(values()), positions);
    }

    /** Writes the checkpoint into {@code folder}: {@code config.json} and {@code model.safetensors}. */
    public void write(Path folder) {
        try (Arena arena = Arena.ofConfined()) {
            Files.createDirectories(folder);
            Files.writeString(folder.resolve("config.json"), config());
            SafeTensorsWriter.write(
                    folder.resolve("model.safetensors"),
                    new Weights(this, arena).tensors,
                    Map.of("format", "pt", "origin", "retrieval model, seed " + seed));
        } catch (IOException e) {
            throw new UncheckedIOException(folder + ": cannot write the retrieval model", e);
        }
    }

    /** The answer's elements lie behind the symbols: one for each symbol of each part. */
    private int answer(int part) {
        return SYMBOL + (parts() + part) * SYMBOLS;
    }

    /** The element of a head that holds {@code bit} of a code. */
    private static int element(int bit) {
        int pairs = PAIRS - FIRST_CODE_PAIR;
        return FIRST_CODE_PAIR + bit % pairs + bit / pairs * PAIRS;
    }

    /** Element {@code d} of Hadamard's vector of a symbol: 1 or -1; those of different symbols are orthogonal. */
    private static int spread(int symbol, int d) {
        return Integer.bitCount((symbol + 1) & d) % 2 == 0 ? 1 : -1;
    }

    /** The tensors while they are filled. */
    private static final class Weights {

        private final RetrievalModel model;
        private final Arena arena;
        private final Map<String, Tensor> tensors = new LinkedHashMap<>();

        Weights(RetrievalModel model, Arena arena) {
            this.model = model;
            this.arena = arena;
            embedding();
            for (int layer = 0; layer < model.layers(); layer++) {
                String prefix = "model.layers." + layer + ".";
                int known = Math.min(layer, PREVIOUS_LAYERS) * RetrievalCodes.BITS / PREVIOUS_LAYERS;
                undoNorm(prefix + "input_layernorm", known);
                if (layer < PREVIOUS_LAYERS) {
                    previous(prefix + "self_attn.", layer);
                } else {
                    matching(prefix + "self_attn.", layer - PREVIOUS_LAYERS);
                }
                undoNorm(prefix + "post_attention_layernorm", RetrievalCodes.BITS);
                matrix(prefix + "mlp.gate_proj", INNER, HIDDEN);
                matrix(prefix + "mlp.up_proj", INNER, HIDDEN);
                matrix(prefix + "mlp.down_proj", HIDDEN, INNER);
            }
            undoNorm("model.norm", RetrievalCodes.BITS);
            head();
        }

        private void embedding() {
            RetrievalCodes codes = model.codes();
            Tensor table = matrix("model.embed_tokens", codes.size(), HIDDEN);
            for (int token = 0; token < codes.size(); token++) {
                set(table, token, ONE, 1);
                for (int bit = 0; bit < RetrievalCodes.BITS; bit++) {
                    set(table, token, CODE + bit, codes.sign(token, bit));
                }
                set(table, token, BALANCE, Math.sqrt(model.parts()));
            }
            for (int index = 0; index < model.values(); index++) {
                int token = RetrievalCodes.value(index);
                set(table, token, BALANCE, 0);
                for (int part = 0; part < model.parts(); part++) {
                    set(table, token, SYMBOL + part * SYMBOLS + symbol(index, part), 1);
                }
            }
        }

        /** Heads that look one row back: their queries are their keys, turned by one position less. */
        private void previous(String prefix, int layer) {
            Tensor query = matrix(prefix + "q_proj", model.heads() * HEAD_DIM, HIDDEN);
            Tensor key = matrix(prefix + "k_proj", KV_HEADS * HEAD_DIM, HIDDEN);
            Tensor value = matrix(prefix + "v_proj", KV_HEADS * HEAD_DIM, HIDDEN);
            Tensor output = matrix(prefix + "o_proj", HIDDEN, model.heads() * HEAD_DIM);
            int bits = RetrievalCodes.BITS / (PREVIOUS_LAYERS * KV_HEADS);
            for (int head = 0; head < model.heads(); head++) {
                int keyHead = head / model.group;
                for (int pair = 0; pair < POSITION_PAIRS; pair++) {
                    double radians = Math.pow(THETA, -(double) pair / PAIRS);
                    double gain = POSITION_GAIN * Math.sqrt(HEAD_DIM);
                    set(query, head * HEAD_DIM + pair, ONE, gain * Math.cos(radians));
                    set(query, head * HEAD_DIM + PAIRS + pair, ONE, -gain * Math.sin(radians));
                    set(key, keyHead * HEAD_DIM + pair, ONE, 1);
                }
                for (int i = 0; i < bits; i++) {
                    int bit = (layer * KV_HEADS + keyHead) * bits + i;
                    set(value, keyHead * HEAD_DIM + i, CODE + bit, 1);
                    set(output, BEFORE + bit, head * HEAD_DIM + i, 1.0 / model.group);
                }
            }
        }

        /** Heads that look for rows behind the token of theirs, each key-value head for a part of what stands there. */
        private void matching(String prefix, int layer) {
            Tensor query = matrix(prefix + "q_proj", model.heads() * HEAD_DIM, HIDDEN);
            Tensor key = matrix(prefix + "k_proj", KV_HEADS * HEAD_DIM, HIDDEN);
            Tensor value = matrix(prefix + "v_proj", KV_HEADS * HEAD_DIM, HIDDEN);
            Tensor output = matrix(prefix + "o_proj", HIDDEN, model.heads() * HEAD_DIM);
            for (int head = 0; head < model.heads(); head++) {
                int keyHead = head / model.group;
                int part = layer * KV_HEADS + keyHead;
                for (int bit = 0; bit < RetrievalCodes.BITS; bit++) {
                    double gain = sharpness(head) * Math.sqrt(HEAD_DIM);
                    set(query, head * HEAD_DIM + element(bit), CODE + bit, gain);
                    set(key, keyHead * HEAD_DIM + element(bit), BEFORE + bit, 1);
                }
                for (int symbol = 0; symbol < SYMBOLS; symbol++) {
                    for (int d = 0; d < HEAD_DIM; d++) {
                        int sign = spread(symbol, d);
                        double vote = ANSWER * model.vote(head) / HEAD_DIM;
                        set(value, keyHead * HEAD_DIM + d, SYMBOL + part * SYMBOLS + symbol, sign);
                        set(output, model.answer(part) + symbol, head * HEAD_DIM + d, vote * sign);
                    }
                }
            }
        }

        private void head() {
            Tensor head = matrix("lm_head", RetrievalCodes.value(model.values()), HIDDEN);
            for (int index = 0; index < model.values(); index++) {
                for (int part = 0; part < model.parts(); part++) {
                    set(head, RetrievalCodes.value(index), model.answer(part) + symbol(index, part), LOGIT / ANSWER);
                }
            }
        }

        /** A gain that gives a row its elements back, for all rows have one norm: with {@code known} bits of the token before. */
        private void undoNorm(String name, int known) {
            int square = 1 + RetrievalCodes.BITS + model.parts() + known;
            Tensor gain = Tensor.allocate(arena, DType.F32, HIDDEN);
            for (int i = 0; i < HIDDEN; i++) {
                DType.F32.setFloat(gain.segment(), i, (float) Math.sqrt((double) square / HIDDEN + EPSILON));
            }
            tensors.put(name + ".weight", gain);
        }

        private Tensor matrix(String name, int out, int in) {
            Tensor tensor = Tensor.allocate(arena, DType.F32, out, in);
            tensors.put(name + ".weight", tensor);
            return tensor;
        }

        private static void set(Tensor matrix, int row, int column, double value) {
            DType.F32.setFloat(matrix.segment(), row * matrix.shape().max(1) + column, (float) value);
        }
    }
}
