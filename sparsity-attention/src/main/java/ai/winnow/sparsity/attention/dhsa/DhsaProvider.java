package ai.winnow.sparsity.attention.dhsa;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;
import ai.winnow.sparsity.attention.dhsa.Dhsa.Boundary;

/** The door of {@link Dhsa}. */
public final class DhsaProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return Dhsa.INFO;
    }

    @Override
    public Dhsa parse(MethodOptions options) {
        int budget = options.integer("budget", 2048, 1, Integer.MAX_VALUE);
        Dhsa usual = Dhsa.of(budget);
        Boundary boundaries = options.choice("boundaries", usual.boundaries());
        return new Dhsa(
                budget,
                options.integer("block", usual.block(), 1, 4096),
                boundaries,
                options.integer("chunk", usual.chunk(), 1, 1 << 20),
                options.integer("beta", usual.beta(), 1, 1 << 10),
                options.number("theta", boundaries.theta(), -Float.MAX_VALUE, Float.MAX_VALUE),
                options.integer("tail", usual.tail(), 0, 1 << 20),
                options.integer("local", usual.local(), 0, Integer.MAX_VALUE),
                options.integer("global", usual.global(), 0, Integer.MAX_VALUE),
                options.choice("pooling", usual.pooling()),
                options.flag("share", usual.share()));
    }
}
