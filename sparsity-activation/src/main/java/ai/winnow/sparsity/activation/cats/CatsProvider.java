package ai.winnow.sparsity.activation.cats;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;

/** The door of {@link Cats}. */
public final class CatsProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return Cats.INFO;
    }

    @Override
    public Cats parse(MethodOptions options) {
        return Cats.of(options.sparsity("sparsity", 0.5f));
    }
}
