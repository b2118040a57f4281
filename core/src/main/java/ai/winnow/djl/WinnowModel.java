package ai.winnow.djl;

import ai.djl.BaseModel;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.winnow.decode.Decoder;
import ai.winnow.decode.TextCodec;
import ai.winnow.runtime.SparseModel;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A {@link SparseModel} as DJL sees it. All its predictors share one {@link Decoder}, so predictions from many threads run in one
 * batch, which reads the weights once for all of them.
 */
final class WinnowModel extends BaseModel {

    private EngineOptions options = EngineOptions.defaults();
    private @Nullable SparseModel sparse;
    private @Nullable HuggingFaceCodec codec;
    private @Nullable Decoder decoder;
    private boolean closed;

    WinnowModel(String name, NDManager manager) {
        super(name);
        this.manager = manager;
        this.dataType = DataType.FLOAT32;
    }

    /** A model that is loaded already, and belongs to the new one from now on. */
    static WinnowModel of(String name, NDManager manager, Path folder, SparseModel sparse, EngineOptions options) {
        WinnowModel model = new WinnowModel(name, manager);
        model.setModelDir(folder);
        model.take(sparse, options);
        return model;
    }

    @Override
    public void load(Path modelPath, @Nullable String prefix, @Nullable Map<String, ?> given) {
        if (block != null) {
            throw new UnsupportedOperationException(
                    "engine Winnow makes its block from the checkpoint; it takes no other");
        }
        setModelDir(modelPath);
        EngineOptions parsed = EngineOptions.parse(given == null ? Map.of() : given);
        CheckpointFolder.require(modelDir, modelName);
        take(SparseModel.load(modelDir, parsed.policy(), parsed.model()), parsed);
    }

    private void take(SparseModel loaded, EngineOptions loadedWith) {
        this.sparse = loaded;
        this.options = loadedWith;
        this.block = new GenerationBlock(this);
        this.wasLoaded = true;
    }

    EngineOptions options() {
        return options;
    }

    synchronized SparseModel sparse() {
        if (closed || sparse == null) {
            throw new IllegalStateException("model " + modelName + (closed ? " is closed" : " is not loaded"));
        }
        return sparse;
    }

    /** The tokenizer in the model's folder. */
    synchronized TextCodec codec() {
        sparse();
        if (codec == null) {
            codec = HuggingFaceCodec.open(modelDir);
        }
        return codec;
    }

    /** The one decoder of this model. */
    synchronized Decoder decoder() {
        if (decoder == null) {
            decoder = new Decoder(sparse(), codec(), options.decoder());
        }
        return decoder;
    }

    /** Ends predictions that are under way with an error, and frees the memory. */
    @Override
    public void close() {
        Decoder running;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            running = decoder;
        }
        // Not under the lock: the step that runs may take a while, and others may ask for the model meanwhile.
        if (running != null) {
            running.close();
        }
        if (block instanceof GenerationBlock ours) {
            ours.close();
        }
        if (codec != null) {
            codec.close();
        }
        if (sparse != null) {
            sparse.close();
        }
        super.close();
    }

    // BaseModel's asks the manager whether the model was closed; ours has nothing to close and would always say no.
    @SuppressWarnings({"removal", "deprecation", "Finalize"})
    @Override
    protected void finalize() {
        if (!closed && sparse != null) {
            close();
        }
    }
}
