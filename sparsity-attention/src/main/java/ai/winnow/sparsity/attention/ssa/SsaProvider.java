package ai.winnow.sparsity.attention.ssa;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;

/** The door of {@link Ssa}. */
public final class SsaProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return Ssa.INFO;
    }

    @Override
    public Ssa parse(MethodOptions options) {
        return new Ssa(
                options.integer("block", Ssa.PUBLISHED, 16, 64),
                options.integer("blocks", Ssa.PUBLISHED, 1, Integer.MAX_VALUE),
                options.flag("gate", false));
    }
}
