package ai.winnow.sparsity.attention.tidaldecode;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;

/** The door of {@link TidalDecode}. */
public final class TidalDecodeProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return TidalDecode.INFO;
    }

    @Override
    public TidalDecode parse(MethodOptions options) {
        return new TidalDecode(
                options.integer("budget", 512, 1, Integer.MAX_VALUE),
                options.integer("select", 2, 0, Integer.MAX_VALUE),
                options.integer("reselect", TidalDecode.AUTOMATIC, TidalDecode.AUTOMATIC, Integer.MAX_VALUE),
                options.flag("per-head", false));
    }
}
