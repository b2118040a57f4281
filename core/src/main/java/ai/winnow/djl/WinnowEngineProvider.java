package ai.winnow.djl;

import ai.djl.engine.Engine;
import ai.djl.engine.EngineProvider;

/** Makes {@code Criteria.optEngine("Winnow")} work. */
public final class WinnowEngineProvider implements EngineProvider {

    @Override
    public String getEngineName() {
        return WinnowEngine.NAME;
    }

    @Override
    public int getEngineRank() {
        return WinnowEngine.RANK;
    }

    @Override
    public Engine getEngine() {
        return WinnowEngine.INSTANCE;
    }
}
