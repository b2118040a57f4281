package ai.winnow.djl;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.ndarray.NDManager;
import ai.djl.repository.zoo.Criteria;
import ai.djl.repository.zoo.ZooModel;
import ai.winnow.UnsupportedModelException;
import ai.winnow.calibrate.CalibrationData;
import ai.winnow.calibrate.CalibrationRun;
import ai.winnow.decode.Decoder;
import ai.winnow.decode.DecoderOptions;
import ai.winnow.decode.GenerationOptions;
import ai.winnow.io.Artefact;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SparseModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The door for users of DJL: wrap the model a service already has with a sparsity policy, and get the same {@code Predictor} back,
 * faster.
 *
 * <pre>{@code
 * try (ZooModel<String, String> dense = Winnow.criteria(folder).build().loadModel();
 *         ZooModel<String, String> fast = Winnow.wrap(dense, SparsityPolicy.of(Teal.uniform(0.5f)))) {
 *     System.out.println(Winnow.explain(fast));
 *     System.out.println(fast.newPredictor().predict("Once upon a time"));
 * }
 * }</pre>
 */
public final class Winnow {

    private Winnow() {}

    /**
     * Criteria for generating text with the checkpoint in {@code folder} on engine Winnow. Options are added with {@code optOption}:
     * {@code policy}, {@code artefacts} (a folder with one folder a method), {@code weightType}, {@code weightGroup}, {@code kvType} (f32, bf16 or
     * int8), {@code kvBytes}, {@code contextLength}, {@code maxSequences}, {@code maxStepTokens}, {@code threads}, {@code warmUp}, {@code queueCapacity},
     * {@code prefillTokens}, {@code maxNewTokens}, {@code temperature}, {@code topK}, {@code topP}, {@code minP}, {@code
     * repetitionPenalty}, {@code seed} and {@code stop} (a string, or a JSON list of them). Other types of output are asked for with
     * {@code setTypes}; see {@link GenerationTranslatorFactory}.
     */
    public static Criteria.Builder<String, String> criteria(Path folder) {
        return Criteria.builder()
                .setTypes(String.class, String.class)
                .optModelPath(folder)
                .optEngine(WinnowEngine.NAME)
                .optTranslatorFactory(new GenerationTranslatorFactory());
    }

    /**
     * The model of {@code dense} under {@code policy}, with the same translator. Artefacts are searched in the model's folder.
     *
     * @see #wrap(ZooModel, SparsityPolicy, ModelOptions)
     */
    public static <I, O> ZooModel<I, O> wrap(ZooModel<I, O> dense, SparsityPolicy policy) {
        return wrap(dense, policy, optionsOf(dense));
    }

    /**
     * The model of {@code dense} under {@code policy}, with the same translator.
     *
     * @param artefacts calibration results by method; what is not named is searched for in the model's folder
     * @see #wrap(ZooModel, SparsityPolicy, ModelOptions)
     */
    public static <I, O> ZooModel<I, O> wrap(
            ZooModel<I, O> dense, SparsityPolicy policy, Map<String, Artefact> artefacts) {
        return wrap(dense, policy, optionsOf(dense).withArtefacts(artefacts));
    }

    /**
     * The model of {@code dense} under {@code policy}, with the same translator. {@code dense} is any model whose folder holds a
     * checkpoint in Hugging Face's format, whatever engine loaded it. It stays open and usable, and may be closed before or after
     * the new one. If Winnow loaded it, with the same options but for artefacts, both share the weights in memory.
     *
     * @throws UnsupportedModelException if the folder lacks config.json or safetensors, or the architecture is not known
     * @throws ai.winnow.IncompatiblePolicyException if the policy does not fit
     * @throws ai.winnow.ArtefactException if a file is damaged, or a calibration is missing
     */
    public static <I, O> ZooModel<I, O> wrap(ZooModel<I, O> dense, SparsityPolicy policy, ModelOptions options) {
        WinnowModel known = winnowModel(dense);
        Path folder = CheckpointFolder.require(dense.getModelPath(), dense.getName());
        boolean shared = known != null
                && known.sparse().options().withArtefacts(Map.of()).equals(options.withArtefacts(Map.of()));
        SparseModel sparse = known != null && shared
                ? known.sparse().withPolicy(policy, options.artefacts())
                : SparseModel.load(folder, policy, options);
        EngineOptions with = known == null
                ? new EngineOptions(policy, options, DecoderOptions.defaults(), GenerationOptions.defaults())
                : new EngineOptions(
                        policy,
                        options,
                        known.options().decoder(),
                        known.options().generation());
        NDManager manager = dense.getNDManager().getEngine().newBaseManager(Device.cpu());
        return new ZooModel<>(WinnowModel.of(dense.getName(), manager, folder, sparse, with), dense.getTranslator());
    }

    /**
     * Measures what the methods of {@code policy} need to know of a model, on texts like those it will see: some tens of pages. Pass
     * the result to {@link #wrap(ZooModel, SparsityPolicy, Map)}; to find it at every load, save each with {@link
     * ai.winnow.io.ArtefactStore} in {@link SparseModel#artefactFolder}.
     *
     * @return the artefacts by method, of the methods that measure something
     * @throws ai.winnow.ShapeException if there are no texts
     */
    public static Map<String, Artefact> calibrate(ZooModel<?, ?> model, SparsityPolicy policy, Iterable<String> texts) {
        WinnowModel known = require(model);
        SparseModel sparse = known.sparse();
        int context = sparse.limits().contextLength();
        List<int[]> windows = new ArrayList<>();
        for (String text : texts) {
            int[] tokens = known.codec().encode(text);
            for (int from = 0; from < tokens.length; from += context) {
                windows.add(Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + context)));
            }
        }
        CalibrationData data = CalibrationData.of(windows);
        if (sparse.policy().methods().isEmpty()) {
            return CalibrationRun.calibrate(sparse, policy, data);
        }
        try (SparseModel dense = sparse.withPolicy(SparsityPolicy.dense(), Map.of())) {
            return CalibrationRun.calibrate(dense, policy, data);
        }
    }

    /** Which op runs on which kernel, what was refused and why, and what memory it takes. */
    public static String explain(ZooModel<?, ?> model) {
        return sparseModel(model).explain();
    }

    /** The model itself, without DJL. It belongs to {@code model}. */
    public static SparseModel sparseModel(ZooModel<?, ?> model) {
        return require(model).sparse();
    }

    /**
     * The decoder that all predictors of {@code model} share: for streams, cancellation, and options that differ from request to
     * request. It belongs to {@code model}.
     */
    public static Decoder decoder(ZooModel<?, ?> model) {
        return require(model).decoder();
    }

    private static ModelOptions optionsOf(ZooModel<?, ?> dense) {
        WinnowModel known = winnowModel(dense);
        return known == null ? ModelOptions.defaults() : known.sparse().options();
    }

    private static WinnowModel require(ZooModel<?, ?> model) {
        WinnowModel known = winnowModel(model);
        if (known == null) {
            throw new IllegalArgumentException("model " + model.getName() + " is not Winnow's; wrap it first"
                    + " (Winnow.wrap), or load it with optEngine(\"" + WinnowEngine.NAME + "\")");
        }
        return known;
    }

    private static @Nullable WinnowModel winnowModel(ZooModel<?, ?> model) {
        Model wrapped = model;
        while (wrapped instanceof ZooModel<?, ?> zoo) {
            wrapped = zoo.getWrappedModel();
        }
        return wrapped instanceof WinnowModel known ? known : null;
    }
}
