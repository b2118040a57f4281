package ai.winnow.sparsity.activation.wina;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;

/** The door of {@link Wina}. */
public final class WinaProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return Wina.INFO;
    }

    @Override
    public Wina parse(MethodOptions options) {
        return new Wina(
                options.sparsity("sparsity", 0.5f),
                options.choice("mode", Mode.TOPK),
                options.choice("norms", Norms.KEY_GATE),
                options.flag("rotate", true),
                options.choice("allocation", Allocation.UNIFORM));
    }
}
