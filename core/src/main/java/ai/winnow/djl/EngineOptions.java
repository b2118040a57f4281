package ai.winnow.djl;

import ai.winnow.WinnowException;
import ai.winnow.decode.DecoderOptions;
import ai.winnow.decode.GenerationOptions;
import ai.winnow.io.Artefact;
import ai.winnow.io.ArtefactStore;
import ai.winnow.method.SparsityMethod;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.tensor.DType;
import com.google.gson.Gson;
import com.google.gson.JsonParseException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;

/** The options of a {@code Criteria} for this engine. */
record EngineOptions(SparsityPolicy policy, ModelOptions model, DecoderOptions decoder, GenerationOptions generation) {

    /** Options that DJL itself reads or passes to every engine. */
    private static final Set<String> OF_DJL =
            Set.of("modelName", "epoch", "hasParameter", "engine", "translatorFactory");

    static EngineOptions defaults() {
        return new EngineOptions(
                SparsityPolicy.dense(),
                ModelOptions.defaults(),
                DecoderOptions.defaults(),
                GenerationOptions.defaults());
    }

    /** @throws IllegalArgumentException naming the option that is not known or not well-formed */
    static EngineOptions parse(Map<String, ?> options) {
        return new Parser().parse(options);
    }

    private static final class Parser {
        private final Map<String, Consumer<String>> known = new TreeMap<>();
        private SparsityPolicy policy = SparsityPolicy.dense();
        private ModelOptions model = ModelOptions.defaults();
        private DecoderOptions decoder = DecoderOptions.defaults();
        private GenerationOptions generation = GenerationOptions.defaults();
        private String artefacts = "";

        Parser() {
            known.put("policy", text -> policy = SparsityPolicy.parse(text, Backends.discoverMethods()));
            known.put("artefacts", text -> artefacts = text);
            known.put("weightType", text -> model = model.withWeightType(DType.parse(text)));
            known.put("weightGroup", text -> model = model.withWeightGroup(Integer.parseInt(text)));
            known.put("kvType", text -> model = model.withKvType(DType.parse(text)));
            known.put("kvBytes", text -> model = model.withKvBytes(Long.parseLong(text)));
            known.put("contextLength", text -> model = model.withContextLength(Integer.parseInt(text)));
            known.put("maxSequences", text -> model = model.withMaxSequences(Integer.parseInt(text)));
            known.put("maxStepTokens", text -> model = model.withMaxStepTokens(Integer.parseInt(text)));
            known.put("threads", text -> model = model.withThreads(Integer.parseInt(text)));
            known.put("warmUp", text -> model = model.withWarmUp(flag(text)));
            known.put("queueCapacity", text -> decoder = decoder.withQueueCapacity(Integer.parseInt(text)));
            known.put("prefillTokens", text -> decoder = decoder.withPrefillTokens(Integer.parseInt(text)));
            known.put("maxNewTokens", text -> generation = generation.withMaxNewTokens(Integer.parseInt(text)));
            known.put("temperature", text -> generation = generation.withTemperature(Float.parseFloat(text)));
            known.put("topK", text -> generation = generation.withTopK(Integer.parseInt(text)));
            known.put("topP", text -> generation = generation.withTopP(Float.parseFloat(text)));
            known.put("minP", text -> generation = generation.withMinP(Float.parseFloat(text)));
            known.put(
                    "repetitionPenalty", text -> generation = generation.withRepetitionPenalty(Float.parseFloat(text)));
            known.put("seed", text -> generation = generation.withSeed(Long.parseLong(text)));
            known.put("stop", text -> generation = generation.withStopStrings(stopStrings(text)));
        }

        EngineOptions parse(Map<String, ?> options) {
            // maxSequences may raise maxStepTokens: in the order of the alphabet the explicit figure comes last.
            for (Map.Entry<String, ?> option : new TreeMap<>(options).entrySet()) {
                String name = option.getKey();
                Consumer<String> setter = known.get(name);
                if (setter == null) {
                    requireDjls(name);
                    continue;
                }
                String text = String.valueOf(option.getValue());
                try {
                    setter.accept(text);
                } catch (NumberFormatException e) {
                    throw new IllegalArgumentException(
                            "option '" + name + "': expected a number, found '" + text + "'", e);
                } catch (IllegalArgumentException | WinnowException e) {
                    throw new IllegalArgumentException("option '" + name + "': " + e.getMessage(), e);
                }
            }
            if (!artefacts.isEmpty()) {
                model = model.withArtefacts(load(policy, Path.of(artefacts)));
            }
            return new EngineOptions(policy, model, decoder, generation);
        }

        private void requireDjls(String name) {
            if (!OF_DJL.contains(name)) {
                throw new IllegalArgumentException(
                        "engine Winnow has no option '" + name + "'; it has " + String.join(", ", known.keySet()));
            }
        }
    }

    /** The artefacts in {@code folder}: one folder for each method of the policy that has one there. */
    static Map<String, Artefact> load(SparsityPolicy policy, Path folder) {
        Map<String, Artefact> artefacts = new LinkedHashMap<>();
        for (SparsityMethod method : policy.methods()) {
            String name = method.info().name();
            if (method.calibrator().isPresent() && Files.exists(folder.resolve(name))) {
                artefacts.put(name, ArtefactStore.load(folder.resolve(name)));
            }
        }
        return artefacts;
    }

    private static boolean flag(String text) {
        return switch (text) {
            case "true" -> true;
            case "false" -> false;
            default -> throw new IllegalArgumentException("expected true or false, found '" + text + "'");
        };
    }

    /** One string, or a JSON list of them. */
    private static String[] stopStrings(String text) {
        if (!text.startsWith("[")) {
            return new String[] {text};
        }
        try {
            String[] strings = new Gson().fromJson(text, String[].class);
            if (Arrays.asList(strings).contains(null)) {
                throw new IllegalArgumentException("expected a JSON list of texts, found '" + text + "'");
            }
            return strings;
        } catch (JsonParseException e) {
            throw new IllegalArgumentException("expected a text or a JSON list of texts, found '" + text + "'", e);
        }
    }
}
