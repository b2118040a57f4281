package ai.winnow.djl;

import ai.djl.Device;
import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDManager;
import ai.djl.util.passthrough.PassthroughNDManager;
import org.jspecify.annotations.Nullable;

/**
 * The engine {@value #NAME}. It loads checkpoint folders (config.json and safetensors) and generates text. Its NDArrays carry data in
 * and out and do no arithmetic; models are not made or trained with it.
 */
public final class WinnowEngine extends Engine {

    /** For {@code Criteria.optEngine}. */
    public static final String NAME = "Winnow";

    /** Above those of DJL's own engines (at most 10): Winnow is the default only where it is alone. */
    static final int RANK = 20;

    static final WinnowEngine INSTANCE = new WinnowEngine();

    private WinnowEngine() {}

    @Override
    public @Nullable Engine getAlternativeEngine() {
        return null;
    }

    @Override
    public String getEngineName() {
        return NAME;
    }

    @Override
    public int getRank() {
        return RANK;
    }

    @Override
    public String getVersion() {
        String version = WinnowEngine.class.getPackage().getImplementationVersion();
        return version == null ? "development" : version;
    }

    @Override
    public boolean hasCapability(String capability) {
        return false;
    }

    @Override
    public Model newModel(String name, @Nullable Device device) {
        return new WinnowModel(name, newBaseManager(device));
    }

    @Override
    public NDManager newBaseManager() {
        return newBaseManager(null);
    }

    @Override
    public NDManager newBaseManager(@Nullable Device device) {
        return new PassthroughNDManager(this, device == null ? Device.cpu() : device);
    }
}
