package ai.winnow.sparsity.activation.teal;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;

/** The door of {@link Teal}. */
public final class TealProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return Teal.INFO;
    }

    @Override
    public Teal parse(MethodOptions options) {
        return new Teal(
                options.sparsity("sparsity", 0.5f),
                options.choice("allocation", Allocation.UNIFORM),
                options.choice("mode", Mode.THRESHOLD));
    }
}
